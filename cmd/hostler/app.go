package main

import (
	"github.com/spf13/cobra"
	"context"
	"errors"
	"io"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/deploy/oldconfig"
	"github.com/hostler-project/hostler/host"
)

// app is one command line at work: its streams and options, and what it has opened so far. Nothing
// is opened before it is needed. It is used by one goroutine.
type app struct {
	term.Terminal
	// commands makes the whole tree of commands, for one that runs another
	commands func(*app) *cobra.Command

	Host   *host.Host
	compat bool // called by an old name
	flags  globals

	old       *oldconfig.Config    // provision's, under its names; nil: there is none
	converted *oldconfig.Converted // the same in our words

	// the controller that is asked in place of our own engine; nil: none
	remote   *client.Client
	statuses []compute.SourceStatus // the controller's sources, looked at once
	self     api.Self               // who we are to it
	machine  bool                   // it is the machine's
	chosen   bool                   // it was named, or signed in to
	same     bool                   // it has our configuration and our state

	traces *tracing // nil: nothing is followed

}

func newApp(in io.Reader, out, errs io.Writer) *app {
	a := &app{Terminal: term.NewTerminal(in, out, errs, "hostler"), Host: host.New(host.Options{LeaseIdle: idleAcquired})}
	a.Rename = asCalled
	return a
}

// owner is the user whose leases this process takes.
func (a *app) owner() string {
	if a.remote != nil {
		return a.self.Name
	}
	return host.LocalUser()
}

// isSource reports whether a name is that of a configured source.
func (a *app) isSource(name string) bool {
	if a.remote != nil {
		_, ok := a.remoteSource(name)
		return ok
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return false
	}
	_, err = cfg.Source(name)
	return err == nil
}

// sourceTTL is the ttl that a source's configuration gives to leases; 0: none.
func (a *app) sourceTTL(name string) time.Duration {
	if a.remote != nil {
		s, _ := a.remoteSource(name)
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

// limited reports whether a source limits the runs at once on an instance.
func (a *app) limited(name string) bool {
	// the controller has commands wait, but for those that do not go through it
	if a.remote != nil {
		s, _ := a.remoteSource(name)
		return s.Concurrency > 0 && s.Type == "local" && a.here() && a.same
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return true
	}
	s, err := cfg.Source(name)
	return err != nil || s.Concurrency > 0
}

// unknownName is the error for a NAME that is no instance, no lease and no source.
func (a *app) unknownName(ctx context.Context, name string) error {
	var names []string
	for _, s := range a.sources(ctx) {
		names = append(names, s.Name)
	}
	if cfg, err := a.Host.Configuration(); err == nil && a.remote == nil {
		for _, s := range cfg.Sources {
			names = append(names, s.Name)
		}
	}
	if engine, err := a.engine(ctx); err == nil {
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
	if err := a.unread(name, compute.ErrNotFound); errors.As(err, new(*compute.Error)) {
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
