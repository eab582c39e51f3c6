package leasecmd

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/session"
	"github.com/hostler-project/hostler/text/visible"
)

// SessionOptions completes a command's options with those of w, and with a warning before the lease
// ends. raw says that the terminal is raw while the command runs.
func SessionOptions(a *cli.App, w *AcquireFlags, o session.Options, raw bool) session.Options {
	o.Lease = w.Name
	o.ExpiresSoon = func(l compute.Lease, left time.Duration) { warnOfEnd(a, l, left, raw) }
	return o
}

// NewSession returns a session for a command, with an instance that may be acquired by w.
func NewSession(a *cli.App, w *AcquireFlags, o session.Options) *session.Session {
	return &session.Session{
		Backend: &Backend{App: a, Flags: w}, Printer: &a.Terminal, Options: SessionOptions(a, w, o, false),
	}
}

// warnOfEnd warns that a lease ends soon.
func warnOfEnd(a *cli.App, l compute.Lease, left time.Duration, raw bool) {
	cr := visible.Shown("")
	if raw || term.IsTerminal(a.In) {
		cr = "\r" // the terminal is raw
	}
	_ = term.Printf(a.Err, "%shostler: the lease of %s ends in %s, and this command with it: hostler extend %s%s\n",
		cr, l.Instance, term.ShortDuration(left.Round(time.Second)), l.Handle(), cr)
}

// Reach connects to a leased instance by its name or its lease's. The caller uses it and does not
// release it.
func Reach(a *cli.App, ctx context.Context, name string, anyones bool) (*session.Session, compute.Conn, error) {
	engine, err := a.Engine(ctx)
	if err != nil {
		return nil, nil, err
	}
	s := NewSession(a, &AcquireFlags{}, session.Options{})
	s.Engine, s.Who = engine, a.Who(ctx, engine, name)
	s.Who.Admin = anyones
	if s.Instance, _, err = engine.Resolve(ctx, name); err != nil {
		return nil, nil, err
	}
	if s.Lease, err = engine.Use(ctx, s.Who, s.Instance.ID); err != nil {
		return nil, nil, err
	}
	s.Who.Lease = s.Lease.ID // only this lease, if any
	conn, _, err := s.Connect(ctx)
	return s, conn, err
}
