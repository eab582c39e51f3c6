package cli

import (
	"context"
	_ "embed"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/deploy/oldconfig"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/observe/tracing"
)

// App is one command line at work: its streams and options, and what it has opened so far. Nothing
// is opened before it is needed. It is used by one goroutine.
type App struct {
	term.Terminal
	// commands makes the whole tree of commands, for one that runs another
	Commands func(*App) *cobra.Command

	Host   *host.Host
	Compat bool // called by an old name
	Flags  globals

	Old       *oldconfig.Config    // provision's, under its names; nil: there is none
	Converted *oldconfig.Converted // the same in our words

	// the controller that is asked in place of our own engine; nil: none
	Remote   *client.Client
	statuses []compute.SourceStatus // the controller's sources, looked at once
	Self     api.Self               // who we are to it
	Machine  bool                   // it is the machine's
	chosen   bool                   // it was named, or signed in to
	Same     bool                   // it has our configuration and our state

	Traces *tracing.Tracing // nil: nothing is followed

}

func NewApp(in io.Reader, out, errs io.Writer) *App {
	a := &App{Terminal: term.NewTerminal(in, out, errs, "hostler"), Host: host.New(host.Options{LeaseIdle: IdleAcquired})}
	a.Rename = AsCalled
	return a
}

// Share returns an application for one of several runs at once: it has open what a has, writes
// elsewhere and reads nothing. Closing its host ends only what it opens itself.
func Share(a *App, out, errs io.Writer) *App {
	b := *a
	b.In, b.Out, b.Err, b.Host = nil, out, errs, a.Host.Share()
	return &b
}

// Owner is the user whose leases this process takes.
func (a *App) Owner() string {
	if a.Remote != nil {
		return a.Self.Name
	}
	return host.LocalUser()
}

// IsSource reports whether a name is that of a configured source.
func (a *App) IsSource(name string) bool {
	if a.Remote != nil {
		_, ok := a.RemoteSource(name)
		return ok
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return false
	}
	_, err = cfg.Source(name)
	return err == nil
}

// SourceTTL is the ttl that a source's configuration gives to leases; 0: none.
func (a *App) SourceTTL(name string) time.Duration {
	if a.Remote != nil {
		s, _ := a.RemoteSource(name)
		return s.TTL
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return 0
	}
	s, err := cfg.Source(name)
	if err != nil || s.TTL == nil {
		return 0
	}
	return *s.TTL
}

// Limited reports whether a source limits the runs at once on an instance.
func (a *App) Limited(name string) bool {
	// the controller has commands wait, but for those that do not go through it
	if a.Remote != nil {
		s, _ := a.RemoteSource(name)
		return s.Concurrency > 0 && s.Type == "local" && a.Here() && a.Same
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return true
	}
	s, err := cfg.Source(name)
	return err != nil || s.Concurrency > 0
}

// UnknownName is the error for a NAME that is no instance, no lease and no source.
func (a *App) UnknownName(ctx context.Context, name string) error {
	var names []string
	for _, s := range a.Sources(ctx) {
		names = append(names, s.Name)
	}
	if cfg, err := a.Host.Configuration(); err == nil && a.Remote == nil {
		for _, s := range cfg.Sources {
			names = append(names, s.Name)
		}
	}
	if engine, err := a.Engine(ctx); err == nil {
		if all, err := engine.Instances(ctx, compute.InstanceQuery{}); err == nil {
			for _, i := range all {
				names = append(names, string(i.ID))
			}
		}
		if all, err := engine.Leases(ctx, compute.LeaseQuery{}); err == nil {
			for _, l := range all {
				names = append(names, l.Name)
			}
		}
	}
	if err := a.Unread(name, compute.ErrNotFound); errors.As(err, new(*compute.Error)) {
		return err
	}
	hint := term.DidYouMean(name, names, "")
	if hint == "" {
		hint = "hostler status -v shows all; a command goes after NAME or --"
	}
	return &compute.Error{
		ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no instance, lease or source of this name"),
		Hint: hint,
	}
}

// The rules of leases where neither an option nor the source says otherwise.
const (
	IdleAcquired = 24 * time.Hour   // a lease of acquire ends when unused for so long
	TtlKept      = 2 * time.Hour    // one of run --keep or --name ends after that
	IdleKept     = 30 * time.Minute // and when unused for so long
	WaitDefault  = 10 * time.Minute // in the queue
)

// globals are the options that every command takes.
type globals struct {
	Dir    string // -C
	Source string // -s, before the verb or after it

	Controller string // --controller
	Embedded   bool   // --embedded
	Project    string // --project
	Ca         string // --ca
	Reason     string // --reason
}
