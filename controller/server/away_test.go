package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/pool"
)

// cutOff is an engine whose store is away.
type cutOff struct{ *pool.Pool }

func (cutOff) Leases(context.Context, inventory.LeaseQuery) ([]compute.Lease, error) {
	return nil, &compute.Error{Op: "leases", Err: &compute.Error{Op: "postgres", ID: "db.internal:5432/hostler",
		Kind: compute.ErrUnavailable, Hint: "see that the PostgreSQL server runs",
		Err: errors.New("failed to connect to `user=keeper database=hostler`: connection refused")}}
}

// TestStoreAway: users hear that the store cannot be reached, and by which id the reason is in the
// log; where it is and as whom it is asked is for whoever runs the controller.
func TestStoreAway(t *testing.T) {
	var log bytes.Buffer
	srv := httptest.NewServer(server.New(server.Options{
		Engine:   func() server.Engine { return whole(cutOff{engine(t)}) },
		Version:  "test",
		Identity: func() api.Identity { return api.Identity{} },
		Callers: server.Callers{Authenticate: func(r *http.Request) (auth.Principal, error) {
			p, err := authenticate(r)
			p.Own = p.Name == "root"
			return p, err
		}},
		Lifecycle: server.Lifecycle{Ready: func(context.Context) error { return nil }},
		Telemetry: server.Telemetry{Log: slog.New(slog.NewTextHandler(&log, nil))},
	}))
	ask := func(who string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/v1/leases", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+who)
		r.Header.Set("X-Request-Id", "request-of-"+who)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusServiceUnavailable {
			t.Errorf(
				"%s: answer.StatusCode = %d text = %s, err = %v"+
					"; want no error and answer.StatusCode == http.StatusServiceUnavailable",
				who, answer.StatusCode, text, err,
			)
		}
		return string(text)
	}
	text := ask("ann")
	if !strings.Contains(text, "the store cannot be reached") || !strings.Contains(text, "request-of-ann") {
		t.Errorf("a user hears %s", text)
	}
	for _, inside := range []string{"db.internal", "keeper", "5432", "PostgreSQL"} {
		if strings.Contains(text, inside) {
			t.Errorf("a user hears %q: %s", inside, text)
		}
	}
	if own := ask("root"); !strings.Contains(own, "db.internal") {
		t.Errorf("who runs it hears %s", own)
	}
	srv.Close()
	if said := log.String(); !strings.Contains(said, "db.internal") || !strings.Contains(said, "user=keeper") ||
		!strings.Contains(said, "request-of-ann") {
		t.Errorf("the log has %s", said)
	}
}
