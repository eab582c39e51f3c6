package run

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/exitstatus"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/pool/pooltest"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/run/session"
)

// mortal has computers end by themselves, and its provider know it first.
type mortal struct {
	compute.Provider
	ended *sync.Map // why, by instance
}

func (p mortal) Unwrap() compute.Provider { return p.Provider }

func (p mortal) WatchHealth(context.Context) (map[compute.ID]string, error) {
	ended := map[compute.ID]string{}
	p.ended.Range(func(id, why any) bool { ended[id.(compute.ID)] = why.(string); return true })
	return ended, nil
}

// TestLeaseEndedFirst: a controller ends the leases of computers that end, and may do so before a
// run hears of its computer's end. However the run finds out then, it says what the lease's end was
// for; and one whose lease somebody gave back says that.
func TestLeaseEndedFirst(t *testing.T) {
	var gone sync.Map
	p := pooltest.New(t, []pool.Source{{Name: "pods", Type: "fake", Digest: "d", Reuse: "no"}}, pooltest.RigOptions{
		Fake: fake.Options{Exec: "exec"}, Wrap: func(_ string, f compute.Provider) compute.Provider { return mortal{f, &gone} },
	}).Pool
	srv := httptest.NewServer(server.New(server.Options{
		Engine:   func() server.Engine { return server.Engine{Leaser: p, Book: p, Operator: p, Waiters: p, Slots: p} },
		Version:  "test",
		Identity: func() api.Identity { return api.Identity{} },
		Callers: server.Callers{Authenticate: func(*http.Request) (auth.Principal, error) {
			return auth.Principal{Name: "ann", Roles: map[string]auth.Role{"": auth.User}}, nil
		}},
		Lifecycle: server.Lifecycle{Ready: func(context.Context) error { return nil }},
	}))
	defer srv.Close()
	c, err := client.New(client.Options{URL: srv.URL, Token: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	const evicted = "it was evicted: The node was low on resource: memory."
	ann := compute.Who{Owner: "ann"}
	ls, err := c.Acquire(t.Context(), compute.Request{Source: "pods", Count: 4, TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	gone.Store(ls[0].Instance, evicted)
	gone.Store(ls[1].Instance, evicted)
	var all sync.WaitGroup
	opt := pool.ReconcileOptions{Go: all.Go, Done: func() {}, Failed: func(err error) { t.Error(err) }}
	if _, err := p.Reconcile(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	if err := c.Release(t.Context(), ann, compute.ReleaseOptions{}, ls[2].Instance, ls[3].Instance); err != nil {
		t.Fatal(err)
	}
	if left, err := p.Leases(t.Context(), inventory.LeaseQuery{}); err != nil || len(left) != 0 {
		t.Fatalf("leases live: %v, %v", left, err)
	}
	cut := &compute.Error{Op: "agent", Kind: compute.ErrLost, Err: errors.New("the controller ended the connection: the lease has ended")}
	fell := &compute.Error{Op: "kubernetes.Run", Kind: compute.ErrLost, Err: compute.Ended(errors.New(evicted))}
	for n, l := range ls {
		exit, says := 128+compute.SignalNumber("KILL"), ""
		if n < 2 {
			exit, says = exitstatus.Lost, evicted
		}
		var said strings.Builder
		printer := &term.Terminal{Err: &said, Program: "hostler"}
		r := New(session.Plain(c, "ann"), Options{Printer: printer})
		s := r.Session
		s.Engine, s.Who, s.Lease, s.Temporary = c, compute.Who{Owner: "ann", Lease: l.ID}, l, n%2 == 0
		s.Instance = compute.Instance{ID: l.Instance, Source: l.Source}
		// so that it is asked for at once
		s.Lease.TTL, s.Lease.Expires = time.Millisecond, time.Now()
		watched, end := context.WithCancelCause(t.Context())
		s.Watch(watched, end)
		for _, found := range []struct {
			how        string
			err, cause error
		}{
			{"told by the lease", context.Canceled, context.Cause(watched)},
			{"cut off, and asked then", cut, s.LeaseEnd(t.Context())},
			{"told by the connection, and asked then", fell, s.LeaseEnd(t.Context())},
		} {
			err := r.outcome(compute.Exit{}, found.err, found.cause, &compute.Command{}, func() {})
			if got := exitstatus.OfRun(err); got != exit || !strings.Contains(err.Error(), says) ||
				errors.Is(err, compute.ErrEnded) != (says != "") {
				t.Errorf("%s (temporary: %t), %s: exit status %d, %v; %s", l.Instance, s.Temporary, found.how, got, err, &said)
			}
		}
		end(nil)
		ended := s.PreferLeaseEnd(t.Context(), fell)
		if says == "" && (errors.Is(ended, compute.ErrEnded) || !errors.Is(ended,
			session.ErrLeaseEnded)) || says != "" && ended != error(fell) {
			t.Errorf("%s: what only forwards ends with %v", l.Instance, ended)
		}
	}
}
