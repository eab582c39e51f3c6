package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/deploy/oldconfig"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/policy/fetch"
	"github.com/hostler-project/hostler/pool"
)

// app is one command line at work: its streams and options, and what it has opened so far. Nothing
// is opened before it is needed. It is used by one goroutine.
type app struct {
	term.Terminal
	compat bool // called by an old name
	// directories of configuration that an old name was told, the one that counts first at the end
	paths []string
	flags globals

	// of leases where neither the request nor the source says one; set before engine
	leaseIdle time.Duration
	now       bool   // what a release leaves is done here and not by the keeper
	serving   bool   // this is a controller
	trial     string // a directory in place of what was applied, to look at it; "": none
	mark      string // of what was applied when the configuration was read
	tree      string // the configuration is read as in this directory; "": the current one

	old       *oldconfig.Config    // provision's, under its names; nil: there is none
	converted *oldconfig.Converted // the same in our words

	cfg    *config.Config
	store  pool.Store
	at     string // where the store is
	pool   *pool.Pool
	open   opening        // that of pool
	remote *client.Client // the controller that is asked in place of our own engine; nil: none

	statuses []compute.SourceStatus // the controller's sources, looked at once
	self     api.Self               // who we are to it
	machine  bool                   // it is the machine's
	chosen   bool                   // it was named, or signed in to
	same     bool                   // it has our configuration and our state

	left    *atomic.Bool // something was left to the keeper
	bell    bell         // of a controller: something was left to its background
	keeping bool         // this is the keeper
	desk    *pool.Desk
	closers []func()
	bundles *bundleCache

	meters *meters  // of a controller; nil: nothing is measured
	traces *tracing // nil: nothing is followed

	// of a controller: judges where it goes for others; nil: for others nothing is done here
	guard    *fetch.Guard
	refusals *refusals // of that
}

func newApp(in io.Reader, out, errs io.Writer) *app {
	a := &app{
		Terminal: term.NewTerminal(in, out, errs, "hostler"), desk: &pool.Desk{}, left: new(atomic.Bool),
		leaseIdle: idleAcquired, bundles: &bundleCache{},
	}
	a.Rename = asCalled
	return a
}

// close ends what was opened, the last first.
func (a *app) close() {
	for i := len(a.closers) - 1; i >= 0; i-- {
		a.closers[i]()
	}
	a.closers = nil
	a.bundles.close()
}

// owner is whose the leases are that this process takes: the name of the user whose id it has. What
// the environment says is not asked, as it may be another's, or change from one command to the
// next.
func (a *app) owner() string {
	if a.remote != nil {
		return a.self.Name
	}
	// A build without C takes $USER for the name of an id that is in no list, by whatever function
	// of os/user it is asked. Not so without $USER.
	if name, set := os.LookupEnv("USER"); set {
		_ = os.Unsetenv("USER")
		defer func() { _ = os.Setenv("USER", name) }()
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid-" + strconv.Itoa(os.Getuid())
}

// newID makes the id of a lease. Those that are made one after another stand beside each other in
// an index.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// configuration reads the files, once.
func (a *app) configuration() (*config.Config, error) {
	if a.cfg != nil {
		return a.cfg, nil
	}
	opt := config.LoadOptions{
		Dir: a.tree, ConfigDir: a.flags.config, Compat: a.Program == "crcache", Lenient: a.compat, Dirs: a.paths,
		TypeKeys: typeKeys(), CheckWindow: checkWindow, Applied: a.appliedRoot,
	}
	if info, err := os.Stat(a.tree); a.tree != "" && (err != nil || !info.IsDir()) {
		opt.Dir = "/" // the keeper outlives the directory that it was started in
	}
	if _, err := os.Stat(opt.ConfigDir); a.keeping && errors.Is(err, fs.ErrNotExist) {
		opt.ConfigDir = "" // and that of --config
	}
	if dir, err := host.StateDir(); err == nil {
		opt.Trust.Dir = dir + "/trust"
	}
	cfg, err := config.Load(opt)
	if err != nil {
		return nil, configError(err)
	}
	for _, w := range cfg.Warnings {
		a.Log.Warn("configuration", "err", w)
	}
	a.overlay(cfg)
	a.cfg = cfg
	return cfg, nil
}

// configError gives an error of config's its kind, and each of several.
func configError(err error) error {
	if err == nil {
		return nil
	}
	if all := api.Apart(err); len(all) > 1 {
		for n, e := range all {
			all[n] = configError(e)
		}
		return errors.Join(all...)
	}
	var e *compute.Error
	if errors.As(err, &e) {
		return err
	}
	if errors.Is(err, config.ErrUntrusted) {
		return &compute.Error{
			Kind: compute.ErrDenied, Err: err,
			Hint: "hostler trust shows what it would do; if you agree: hostler trust approve",
		}
	}
	return &compute.Error{Kind: compute.ErrInvalid, Err: err}
}

// isSource reports whether a name is that of a configured source.
func (a *app) isSource(name string) bool {
	if a.remote != nil {
		_, ok := a.remoteSource(name)
		return ok
	}
	cfg, err := a.configuration()
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
	cfg, err := a.configuration()
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
	cfg, err := a.configuration()
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
	if cfg, err := a.configuration(); err == nil && a.remote == nil {
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
