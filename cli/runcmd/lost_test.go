package runcmd

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/provider/kubernetes"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/store/sqlite"
)

// mortal has computers end by themselves, and its provider know it first.
type mortal struct {
	compute.Provider
	ended *sync.Map // why, by instance
}

func (p mortal) Unwrap() compute.Provider { return p.Provider }

func (p mortal) Oversee(context.Context) (map[compute.ID]string, error) {
	ended := map[compute.ID]string{}
	p.ended.Range(func(id, why any) bool { ended[id.(compute.ID)] = why.(string); return true })
	return ended, nil
}

// TestLeaseEndedFirst: a controller ends the leases of computers that end, and may do so before a
// run hears of its computer's end. However the run finds out then, it says what the lease's end was
// for; and one whose lease somebody gave back says that.
func TestLeaseEndedFirst(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var gone sync.Map
	p, err := pool.New(pool.Options{
		Store: st, NewID: uuid.NewString, Log: log, Sources: []pool.Source{{Name: "pods", Type: "fake", Digest: "d", Reuse: "no"}},
		Open: func(ctx context.Context, name, _ string, _ []byte) (compute.Provider, error) {
			f, err := fake.Open(ctx, log, fake.Options{Source: name, Installation: st.Installation(), Exec: "exec"})
			return mortal{f, &gone}, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(server.New(server.Options{
		Engine: func() server.Engine { return p }, Version: "test", Ready: func(context.Context) error { return nil },
		Identity: func() api.Identity { return api.Identity{} },
		Authenticate: func(*http.Request) (auth.Principal, error) {
			return auth.Principal{Name: "ann", Roles: map[string]auth.Role{"": auth.User}}, nil
		},
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
	if _, err := p.Tend(t.Context(), pool.Tending{Go: all.Go, Done: func() {}, Failed: func(err error) { t.Error(err) }}); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	if err := c.Release(t.Context(), ann, compute.ReleaseOptions{}, ls[2].Instance, ls[3].Instance); err != nil {
		t.Fatal(err)
	}
	if left, err := p.Leases(t.Context(), compute.LeaseQuery{}); err != nil || len(left) != 0 {
		t.Fatalf("leases live: %v, %v", left, err)
	}
	cut := &compute.Error{Op: "agent", Kind: compute.ErrLost, Err: errors.New("the controller ended the connection: the lease has ended")}
	fell := &compute.Error{Op: "kubernetes.Run", Kind: compute.ErrLost, Err: compute.Ended(errors.New(evicted))}
	for n, l := range ls {
		exit, says := 128+compute.SignalNumber("KILL"), ""
		if n < 2 {
			exit, says = term.ExitLost, evicted
		}
		var said strings.Builder
		r := &runner{Claim: &leasecmd.Claim{App: &cli.App{Terminal: term.Terminal{Err: &said, Program: "hostler"}}, Engine: c,
			Who:      compute.Who{Owner: "ann", Lease: l.ID},
			Instance: compute.Instance{ID: l.Instance, Source: l.Source}, Lease: l, Temporary: n%2 == 0}}
		// so that it is asked for at once
		r.Lease.TTL, r.Lease.Expires = time.Millisecond, time.Now()
		r.Ask.Raw = true
		watched, end := context.WithCancelCause(t.Context())
		r.Watch(watched, end)
		for _, found := range []struct {
			how        string
			err, cause error
		}{
			{"told by the lease", context.Canceled, context.Cause(watched)},
			{"cut off, and asked then", cut, r.Over(t.Context())},
			{"told by the connection, and asked then", fell, r.Over(t.Context())},
		} {
			err := r.outcome(compute.Exit{}, found.err, found.cause, &compute.Command{}, func() {})
			if got := RunStatus(err); got != exit || !strings.Contains(err.Error(), says) ||
				errors.Is(err, compute.ErrEnded) != (says != "") {
				t.Errorf("%s (temporary: %t), %s: exit status %d, %v; %s", l.Instance, r.Temporary, found.how, got, err, &said)
			}
		}
		if err := (&recorder{Claim: r.Claim}).endOf(t.Context(), fell); errors.Is(err, compute.ErrEnded) != (says != "") ||
			errors.Is(err, leasecmd.ErrLeaseEnded) != (says == "") {
			t.Errorf("%s, recorded: %v", l.Instance, err)
		}
		end(nil)
		ended := r.WhatEnded(t.Context(), fell)
		if says == "" && (errors.Is(ended, compute.ErrEnded) || !errors.Is(ended,
			leasecmd.ErrLeaseEnded)) || says != "" && ended != error(fell) {
			t.Errorf("%s: what only forwards ends with %v", l.Instance, ended)
		}
	}

	// Another process gives the lease back while a run is recorded, and its computer goes: the
	// provider here says that somebody deleted it.
	more, err := c.Acquire(t.Context(), compute.Request{Source: "pods", Count: 2, TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for n, l := range more {
		early := make(chan compute.Conn, 1)
		early <- lastRun{happens: func() error {
			if n == 0 {
				err = c.Release(t.Context(), ann, compute.ReleaseOptions{}, l.Instance)
			}
			return fell
		}}
		kinds := provider.Table{kubernetes.Kind}
		cfg := &config.Config{Sources: []*config.Source{{Name: "pods", Type: "kubernetes", Kind: kubernetes.Kind}}}
		k := &recorder{Claim: &leasecmd.Claim{
			App:    &cli.App{Terminal: term.Terminal{Program: "hostler"}, Host: host.New(host.Options{Loaded: cfg, Kinds: kinds})},
			Engine: c, Lease: l,
			Instance: compute.Instance{ID: l.Instance}, Early: early, EarlyFor: string(l.Instance),
		},
			rec: runlog.Record{Instance: string(l.Instance), Lease: l.ID}}
		exit, ended := k.stay(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 && (!errors.Is(ended, compute.ErrNotLeased) || errors.Is(ended, compute.ErrLost) || exit.Signal != "KILL") ||
			n == 1 && !errors.Is(ended, compute.ErrEnded) {
			t.Errorf("%d: the recorder says %+v, %v", n, exit, ended)
		}
	}
}

// lastRun is a connection of which a run ends by what happens.
type lastRun struct {
	compute.Conn
	happens func() error
}

func (c lastRun) Run(context.Context, *compute.Command) (compute.Exit, error) {
	return compute.Exit{}, c.happens()
}

func (c lastRun) Close() error { return nil }

// TestAgain: who takes another computer in the place of one that has ended waits no longer than he
// said, also when that time is over by then.
func TestAgain(t *testing.T) {
	for wait, most := range map[time.Duration]time.Duration{
		time.Minute: time.Millisecond, time.Hour: time.Hour - time.Minute, 0: 0, -1: -1,
	} {
		c := leasecmd.Claim{Ordered: &compute.Request{Wait: wait}, OrderedAt: time.Now().Add(-time.Minute)}
		if got := c.Again().Wait; got > most || (got > 0) != (wait > 0) || (got < 0) != (wait < 0) {
			t.Errorf("of %v there are %v left", wait, got)
		}
	}
}
