package device_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hostler-project/hostler/auth/signin/signintest"
	"github.com/hostler-project/hostler/client/device"
	"github.com/hostler-project/hostler/compute"
)

func start(t *testing.T, code time.Duration) *signintest.Provider {
	return signintest.Start(t, signintest.Settings{
		Code: code, Clients: map[string]signintest.Client{"cli": {}, "page": {Secret: "x"}},
		People: map[string]signintest.Person{"ann": {Email: "ann@example.org", Verified: true}},
	})
}

func begin(t *testing.T, at *signintest.Provider) *device.Flow {
	t.Helper()
	f, err := device.Begin(t.Context(), device.Options{Issuer: at.URL, ClientID: "cli", Scopes: []string{"openid", "email"}})
	if err != nil {
		t.Fatal(err)
	}
	if f.Code == "" || f.Address != at.URL+"/device" || f.Direct == "" || time.Until(f.Expires) <= 0 {
		t.Fatalf(
			"f = %+v"+
				`; want f.Code != "" and f.Address == at.URL+"/device" and f.Direct != "" and `+
				"time.Until(f.Expires) > 0",
			f,
		)
	}
	return f
}

func TestFlow(t *testing.T) {
	at := start(t, 5*time.Minute)
	f := begin(t, at)
	typed := make(chan struct{})
	go func() {
		defer close(typed)
		time.Sleep(1500 * time.Millisecond) // it has asked, and is told to wait
		at.Type(f.Code, "ann", true)
	}()
	got, err := f.Wait(t.Context())
	<-typed
	if err != nil || got.ID == "" || got.Access == "" || got.Verifier == "" {
		t.Fatalf(`got = %+v, err = %v; want no error and got.ID != "" and got.Access != "" and got.Verifier != ""`, got, err)
	}
	f = begin(t, at)
	at.Type(f.Code, "ann", false)
	if _, err := f.Wait(t.Context()); !errors.Is(err, compute.ErrDenied) {
		t.Errorf("refused at the page: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := begin(t, at).Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	if _, err := device.Begin(t.Context(), device.Options{Issuer: at.URL, ClientID: "unknown"}); err == nil {
		t.Error("an unknown client is given a code")
	}
}

// TestAway: a provider that is away for a while does not end the sign-in; one that stays away does,
// and so does a code that nobody types.
func TestAway(t *testing.T) {
	at := start(t, 5*time.Minute)
	f := begin(t, at)
	at.Type(f.Code, "ann", true)
	at.Shut()
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		time.Sleep(3 * time.Second) // the client asks every second: it asks in vain twice
		at.Open()
	}()
	if got, err := f.Wait(t.Context()); err != nil || got.ID == "" {
		t.Errorf(`got = %+v, err = %v; want no error and got.ID != ""`, got, err)
	}
	<-opened

	at = start(t, 4*time.Second)
	if _, err := begin(t, at).Wait(t.Context()); !errors.Is(err, compute.ErrTimeout) {
		t.Errorf("typed by nobody: %v", err)
	}
	f = begin(t, at)
	at.Shut()
	if _, err := f.Wait(t.Context()); !errors.Is(err, compute.ErrUnavailable) {
		t.Errorf("away to the end: %v", err)
	}
	if _, err := device.Begin(t.Context(), device.Options{Issuer: at.URL, ClientID: "cli"}); !errors.Is(err, compute.ErrUnavailable) {
		t.Errorf("away from the beginning: %v", err)
	}
}

// TestOdd: providers that cannot do it, or answer what no browser should be sent to.
func TestOdd(t *testing.T) {
	for name, answer := range map[string]string{
		"no codes": "", "script": `{"device_code":"d","user_code":"u","verification_uri":"javascript:alert(1)"}`, "empty": `{}`,
		"direct": `{"device_code":"d","user_code":"u","verification_uri":"https://x/","verification_uri_complete":"file:///etc/passwd"}`,
	} {
		var url string
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if r.URL.Path == "/code" {
				_, _ = w.Write([]byte(answer))
				return
			}
			text := `{"issuer":"` + url + `","token_endpoint":"` + url + `/token"`
			if answer != "" {
				text += `,"device_authorization_endpoint":"` + url + `/code"`
			}
			_, _ = w.Write([]byte(text + "}"))
		}))
		t.Cleanup(srv.Close)
		url = srv.URL
		if f, err := device.Begin(t.Context(), device.Options{Issuer: url, ClientID: "cli"}); err == nil {
			t.Errorf("%s: f = %+v; want an error", name, f)
		}
	}
}
