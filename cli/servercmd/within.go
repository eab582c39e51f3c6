package servercmd

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller"
	"github.com/hostler-project/hostler/controller/callers"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/controller/server/access"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/pool"
)

// Within serves the engine of this process to this process. done waits for open requests and ends
// that.
func Within(a *cli.App, engine cli.Engine) (c *client.Client, done func(), err error) {
	own, ok := engine.(*pool.Pool)
	if !ok {
		return nil, nil, &compute.Error{Kind: compute.ErrUnavailable, Err: errors.New("no engine of this process")}
	}
	kept := controller.NewReplyStore(a.Host.Store(), a.Log)
	me := auth.Principal{Name: a.Owner(), Here: true, Own: true, Via: "this process", Everywhere: auth.Administrator}
	handler := server.New(server.Options{
		Engine: func() server.Engine {
			return server.Engine{Leaser: own, Book: own, Operator: own, Waiters: own, Slots: own}
		},
		Version:   version.Read().Version,
		Replies:   kept.Durable(),
		Identity:  func() api.Identity { return api.Identity{} },
		Callers:   server.Callers{Authenticate: func(*http.Request) (auth.Principal, error) { return me, nil }},
		Scope:     access.Scope{Sources: a.IsSource},
		Telemetry: server.Telemetry{Log: a.Log},
	})
	l := callers.NewProcessListener()
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
		kept.Drop(context.Background(), controller.RepliesOld)
	}, nil
}

// innerPatience is how long an open request may take to end after its client has gone: it may have
// to release a new lease.
const innerPatience = time.Minute
