package leasecmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/controller"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/controller/server/access"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/pool"
)

// keyed returns the function that takes leases with a key. It asks the controller, or a server in
// this process, so that both work in the same way.
func keyed(a *cli.App, engine cli.Engine, key string) func(context.Context, compute.Request) ([]compute.Lease, error) {
	return func(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
		c, done, err := a.Remote, func() {}, error(nil)
		if c == nil {
			if c, done, err = within(a, engine); err != nil {
				return nil, err
			}
		}
		leases, err := c.AcquireOnce(ctx, key, req)
		done() // waits until answers are on disk and unused leases are released
		if err != nil {
			return nil, keyTaken(key, err)
		}
		return leases, stillLive(ctx, engine, key, leases)
	}
}

// keyTaken rewrites a server's error: it names the option instead of the header.
func keyTaken(key string, err error) error {
	e, ok := errors.AsType[*compute.Error](err)
	if !ok || !errors.Is(err, compute.ErrConflict) || e.Err == nil || !strings.Contains(e.Err.Error(), api.KeyHeader) {
		return err
	}
	return &compute.Error{
		Kind: compute.ErrConflict, Err: fmt.Errorf("--key %s: another request has or had this key", term.Line(key)),
		Hint: "the same options again are the same request; another one takes another key",
	}
}

// stillLive is an error if leases of an earlier request with this key have ended.
func stillLive(ctx context.Context, engine cli.Engine, key string, leases []compute.Lease) error {
	for _, l := range leases {
		all, err := engine.Leases(ctx, compute.LeaseQuery{Instance: l.Instance})
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(all, func(now compute.Lease) bool { return now.ID == l.ID }) {
			return &compute.Error{
				ID: l.Instance, Kind: compute.ErrConflict,
				Err:  fmt.Errorf("--key %s: the lease that was given to this request has ended", term.Line(key)),
				Hint: "another key takes another one",
			}
		}
	}
	return nil
}

// within serves the engine of this process to this process. done waits for open requests and ends
// that.
func within(a *cli.App, engine cli.Engine) (c *client.Client, done func(), err error) {
	own, ok := engine.(*pool.Pool)
	if !ok {
		return nil, nil, &compute.Error{Kind: compute.ErrUnavailable, Err: errors.New("no engine of this process")}
	}
	kept := controller.NewAnswers(a.Host.Store(), a.Log)
	me := auth.Principal{Name: a.Owner(), Here: true, Own: true, Via: "this process", Everywhere: auth.Administrator}
	handler := server.New(server.Options{
		Engine: func() server.Engine {
			return server.Engine{Leaser: own, Book: own, Operator: own, Waiters: own, Slots: own}
		},
		Version:   version.Read().Version,
		Replies:   kept.Promptly(),
		Identity:  func() api.Identity { return api.Identity{} },
		Callers:   server.Callers{Authenticate: func(*http.Request) (auth.Principal, error) { return me, nil }},
		Scope:     access.Scope{Sources: a.IsSource},
		Telemetry: server.Telemetry{Log: a.Log},
	})
	l := &controller.InnerDoor{Conns: make(chan net.Conn), Closed: make(chan struct{})}
	if c, err = client.New(client.Options{Dial: l.Dial, Project: a.Project()}); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		_ = server.Serve(
			ctx, &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug)}, l,
			innerPatience,
		)
	})
	return c, func() {
		_ = c.Close()
		cancel()
		serving.Wait()
		kept.Drop(context.Background(), controller.AnswersOld)
	}, nil
}

// innerPatience is how long an open request may take to end after its client has gone: it may have
// to release a new lease.
const innerPatience = time.Minute

// maxKey is the longest key in bytes, as in the API.
const maxKey = 255

// CheckKey refuses an invalid key.
func CheckKey(key string) error {
	switch {
	case len(key) > maxKey:
		return fault.Invalid("", "--key: %d bytes, and at most %d are allowed", len(key), maxKey)
	case strings.TrimSpace(key) != key || strings.ContainsFunc(key, unicode.IsControl):
		return fault.Invalid(
			"", "--key %s: a blank at its beginning or end, or a character that controls terminals, cannot be in it",
			term.Line(key),
		)
	}
	return nil
}
