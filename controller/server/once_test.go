package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
)

// memory keeps answers as long as it lives.
type memory struct {
	mu  sync.Mutex
	all map[string]store.Answer
}

func (m *memory) Answer(_ context.Context, owner, key string) (store.Answer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, ok := m.all[owner+" "+key]; ok {
		return a, nil
	}
	return store.Answer{}, compute.ErrNotFound
}

func (m *memory) Remember(a store.Answer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all[a.Owner+" "+a.Key] = a
}

// remembering is a controller that keeps its answers, and may be met on the way by meet.
func remembering(t *testing.T, e everything, meet func(http.Handler) http.Handler) string {
	t.Helper()
	h := server.New(server.Options{
		Engine:    func() server.Engine { return whole(e) },
		Version:   "test",
		Identity:  func() api.Identity { return api.Identity{} },
		Replies:   &memory{all: map[string]store.Answer{}},
		Callers:   server.Callers{Authenticate: authenticate},
		Lifecycle: server.Lifecycle{Ready: func(context.Context) error { return nil }},
	})
	if meet != nil {
		h = meet(h)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

type told struct {
	status   int
	replayed bool
	text     []byte
	lease    api.Acquired
}

// post asks as somebody, with a key.
func post(ctx context.Context, url, who, key, body string, header ...string) (told, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return told{}, err
	}
	r.Header.Set("Authorization", "Bearer "+who)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(api.KeyHeader, key)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return told{}, err
	}
	defer answer.Body.Close()
	out := told{status: answer.StatusCode, replayed: answer.Header.Get("Idempotency-Replayed") != ""}
	out.text, err = io.ReadAll(answer.Body)
	_ = json.Unmarshal(out.text, &out.lease)
	return out, err
}

// mustPost fails the test where there is no answer of that status.
func mustPost(t *testing.T, status int, url, who, key, body string, header ...string) told {
	t.Helper()
	out, err := post(t.Context(), url, who, key, body, header...)
	if err != nil || out.status != status {
		t.Fatalf("%s %s: %d %s, %v; want %d", key, body, out.status, out.text, err, status)
	}
	return out
}

func leasesOf(t *testing.T, e *pool.Pool) []compute.Lease {
	t.Helper()
	all, err := e.Leases(t.Context(), inventory.LeaseQuery{})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestKey: the same request again is answered the same, another one is a conflict, and what failed
// is tried anew.
func TestKey(t *testing.T) {
	e := engine(t)
	url := remembering(t, e, nil) + "/v1/leases"
	const body = `{"source": "web", "labels": {"a": "b"}}`
	first := mustPost(t, 201, url, "ann", "k", body)
	again := mustPost(t, 201, url, "ann", "k", body)
	if first.lease.ID == "" || first.replayed || !again.replayed || !bytes.Equal(first.text, again.text) || len(leasesOf(t, e)) != 1 {
		t.Fatalf("%s and then %s", first.text, again.text)
	}
	if len(first.lease.Labels) != 1 || first.lease.Labels["a"] != "b" {
		t.Errorf("its labels are %v", first.lease.Labels)
	}
	mustPost(t, 409, url, "ann", "k", `{"source": "web", "wait": 1}`)
	if other := mustPost(t, 201, url, "bob", "k", body); other.lease.ID == first.lease.ID || other.lease.Owner != "bob" {
		t.Errorf("another's key gives him %s", other.text)
	}
	if other := mustPost(t, 201, url, "ann", "l", body); other.lease.ID == first.lease.ID {
		t.Errorf("another key gives %s", other.text)
	}
	// one is left
	two := mustPost(t, 429, url, "ann", "m", `{"source": "web", "count": 2, "wait": 0}`)
	if err := e.Release(t.Context(), compute.Who{Owner: "bob"}, compute.ReleaseOptions{}, leasesOf(t, e)[1].Instance); err != nil {
		t.Fatal(err)
	}
	if two = mustPost(t, 201, url, "ann", "m", `{"source": "web", "count": 2, "wait": 0}`); len(two.lease.Leases) != 2 {
		t.Errorf("when there is room: %s", two.text)
	}
	if err := e.Release(t.Context(), compute.Who{Owner: "ann"}, compute.ReleaseOptions{}, compute.ID(first.lease.Instance)); err != nil {
		t.Fatal(err)
	}
	if again := mustPost(t, 201, url, "ann", "k", body); !bytes.Equal(first.text, again.text) {
		t.Errorf("when it is given back: %s", again.text)
	}
	mustPost(t, 400, url, "ann", string(bytes.Repeat([]byte("x"), 256)), body)
	extend := url + "/" + two.lease.Leases[0].ID + "/extend"
	one := mustPost(t, 200, extend, "ann", "e", `{"ttl": 60}`)
	if again := mustPost(t, 200, extend, "ann", "e", `{"ttl": 60}`); !again.replayed || !bytes.Equal(one.text, again.text) {
		t.Errorf("extend: %s and then %s", one.text, again.text)
	}
	mustPost(t, 409, extend, "ann", "e", `{"ttl": 61}`)
}

// TestKeyAtOnce: many that ask the same at once, some of whom hear how it comes on, have one lease.
func TestKeyAtOnce(t *testing.T) {
	e := engine(t)
	url := remembering(t, e, nil) + "/v1/leases"
	all := mustPost(t, 201, url, "bob", "all", fmt.Sprintf(`{"source": "web", "count": %d}`, maximum))
	const body = `{"source": "web", "wait": 60}`
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := post(ctx, url, "ann", "k", body)
		gone <- err
	}()
	c := connect(t, url[:len(url)-len("/v1/leases")], "ann")
	eventually(t, "the first waits", func() bool { return waitingFor(t, c) == 1 })
	var wg sync.WaitGroup
	answers := make([]told, 8)
	for i := range answers {
		var header []string
		if i%2 == 0 {
			header = []string{"Accept", api.EventStream}
		}
		wg.Go(func() {
			var err error
			if answers[i], err = post(t.Context(), url, "ann", "k", body, header...); err != nil {
				t.Error(err)
			}
		})
	}
	mustPost(t, 409, url, "ann", "k", `{"source": "web"}`)
	hangUp() // one of the others goes on in its place
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("who hung up has %v", err)
	}
	eventually(t, "another waits", func() bool { return waitingFor(t, c) == 1 })
	if err := e.Release(
		t.Context(), compute.Who{Owner: "bob"}, compute.ReleaseOptions{}, compute.ID(all.lease.Leases[0].Instance),
	); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	id, streams := "", 0
	for _, a := range answers {
		if _, data, ok := bytes.Cut(a.text, []byte("event: acquired\ndata: ")); ok {
			streams++
			if err := json.Unmarshal(data, &a.lease); err != nil {
				t.Errorf("%v: a.text = %s; want no error", err, a.text)
			}
		}
		if a.lease.ID == "" || id != "" && a.lease.ID != id {
			t.Errorf("%d %s, and others have %s", a.status, a.text, id)
		}
		id = a.lease.ID
	}
	if streams > 1 || len(leasesOf(t, e)) != maximum {
		t.Errorf("%d streams, leases %+v", streams, leasesOf(t, e))
	}
}

// TestKeyAfterDeath: a controller that died before it kept what it had answered left the leases,
// and they tell it.
func TestKeyAfterDeath(t *testing.T) {
	e := engine(t)
	const body = `{"source": "web", "count": 2}`
	first := mustPost(t, 201, remembering(t, e, nil)+"/v1/leases", "ann", "k", body)
	url := remembering(t, e, nil) + "/v1/leases" // it remembers nothing
	mustPost(t, 409, url, "ann", "k", `{"source": "web"}`)
	again := mustPost(t, 201, url, "ann", "k", body)
	if len(again.lease.Leases) != 2 || again.lease.Leases[0].ID != first.lease.Leases[0].ID ||
		again.lease.Leases[1].ID != first.lease.Leases[1].ID {
		t.Errorf("%s and then %s", first.text, again.text)
	}
	if n := len(leasesOf(t, e)); n != 2 {
		t.Errorf("%d leases", n)
	}
}

// TestLostAnswer: a client whose answer is lost asks again, and has what the first gave.
func TestLostAnswer(t *testing.T) {
	e := engine(t)
	var mu sync.Mutex
	tries := map[string]int{}
	url := remembering(t, e, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			tries[r.URL.Path]++
			n := tries[r.URL.Path]
			mu.Unlock()
			if n > 2 || r.Method != http.MethodPost {
				next.ServeHTTP(w, r)
				return
			}
			// it is served, and nobody hears of it
			next.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(r.Context())))
			panic(http.ErrAbortHandler)
		})
	})
	c := connect(t, url, "ann")
	ls, err := c.Acquire(t.Context(), compute.Request{Source: "web", Count: 1, Notify: func(compute.Progress) {}})
	if err != nil || len(ls) != 1 {
		t.Fatalf("ls = %v, err = %v; want no error and len(ls) == 1", ls, err)
	}
	if all := leasesOf(t, e); len(all) != 1 || all[0].ID != ls[0].ID {
		t.Errorf("it has %+v, and there are %+v", ls, all)
	}
	if _, err := c.Extend(t.Context(), compute.Who{Owner: "ann"}, 0, ls[0].Instance); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if tries["/v1/leases"] != 3 {
		t.Errorf("tried %v", tries)
	}
}

// TestKeyEmpty refuses a key that is there and says nothing, and several: whoever sends one means
// that something is done once.
func TestKeyEmpty(t *testing.T) {
	e := engine(t)
	url := remembering(t, e, nil) + "/v1/leases"
	for what, more := range map[string][]string{"empty": nil, "two": {"another"}} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"source": "web"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer ann")
		r.Header.Set("Content-Type", "application/json")
		r.Header[api.KeyHeader] = append([]string{""}, more...)
		if more != nil {
			r.Header[api.KeyHeader][0] = "one"
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != 400 || !strings.Contains(string(text), "leave the header out") {
			t.Errorf(
				"%s: answer.StatusCode = %d text = %s"+
					`; want answer.StatusCode == 400 and string(text) with "leave the header out"`,
				what, answer.StatusCode, text,
			)
		}
	}
	if all := leasesOf(t, e); len(all) > 0 {
		t.Errorf("leases were given: %v", all)
	}
}

// TestKeyOfToken makes a token once for a key. It is told once, and kept nowhere: the same request
// again hears which token it was.
func TestKeyOfToken(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		kept := &memory{all: map[string]store.Answer{}}
		w := newTown(t, func(o *server.Options) {
			if o.Replies = kept; keeps {
				o.Replies = keeping{kept}
			}
		})
		const body = `{"name": "ci"}`
		url, who := w.url+"/v1/tokens", w.tokens["ann"]
		first := mustPost(t, 201, url, who, "k", body)
		var made api.NewToken
		if err := json.Unmarshal(first.text, &made); err != nil || made.Secret == "" {
			t.Fatalf(`%s: err = %v; want no error and made.Secret != ""`, first.text, err)
		}
		again := mustPost(t, 409, url, who, "k", body)
		if text := string(again.text); !again.replayed || !strings.Contains(text, made.Token.ID) ||
			!strings.Contains(text, "revoke") || strings.Contains(text, made.Secret) {
			t.Errorf("the same again: %s", text)
		}
		mustPost(t, 409, url, who, "k", `{"name": "other"}`)
		mustPost(t, 201, url, who, "l", body)
		all, err := w.ring.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := len(all); n != len(w.people)+2 {
			t.Errorf("%d tokens", n)
		}
		for _, a := range kept.all {
			if strings.Contains(string(a.Body), made.Secret) {
				t.Errorf("the token is kept: %s", a.Body)
			}
		}
	}
}

// keeping is a memory that keeps before it answers.
type keeping struct{ *memory }

func (k keeping) Keep(_ context.Context, a store.Answer) error {
	k.Remember(a)
	return nil
}
