package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/keeper"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/provider/local"
)

// NewKeeper is the background process that commands start for themselves; see the README.
func NewKeeper(a *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "keeper",
		Short:   "The background process that keeps connections open and does what commands leave",
		Long:    "Commands start the keeper when they need it, and it ends by itself when it has had nothing to do for a while.",
		Example: "  hostler keeper status",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var tree string
	var idle term.DurationFlag
	serve := &cobra.Command{
		Use: "serve", Short: "Be the keeper", Example: "  hostler keeper serve", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.keep(cmd.Context(), tree, idle.Value) },
	}
	serve.Flags().StringVar(&tree, "tree", "", "read the configuration as a command in `DIR` does")
	serve.Flags().Var(&idle, "idle", "end after so long with nothing to do")
	cmd.AddCommand(
		serve,
		&cobra.Command{Use: "status", Short: "Say what the keeper has", Example: "  hostler keeper status", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return a.keeperStatus(cmd.Context()) }},
		&cobra.Command{Use: "stop", Short: "Tell the keeper to end when nothing runs through it",
			Example: "  hostler keeper stop", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				socket, err := KeeperSocket()
				if err != nil {
					return err
				}
				if err := keeper.Stop(cmd.Context(), socket); !errors.Is(err, keeper.ErrNone) {
					return err
				}
				return nil
			}})
	return cmd
}

// keeperStatus shows the keeper and what it keeps open. None is a good answer too: it starts when
// it is needed.
func (a *App) keeperStatus(ctx context.Context) error {
	socket, err := KeeperSocket()
	if err != nil {
		return err
	}
	st, err := keeper.Ask(ctx, socket)
	none := errors.Is(err, keeper.ErrNone)
	switch {
	case none && a.JSON:
		return a.PrintJSON(nil)
	case none:
		return term.Printf(a.Out, "no keeper is running\n")
	case err != nil:
		return err
	case a.JSON:
		return a.PrintJSON(st)
	}
	now := time.Now()
	line := fmt.Sprintf("process %d, for %s", st.PID, term.ShortDuration(now.Sub(st.Started)))
	switch {
	case st.Ending:
		line += ", ending"
	case st.Busy:
		line += ", at work"
	case !st.Due.IsZero():
		line += ", looks for work in " + term.ShortDuration(st.Due.Sub(now))
	}
	if st.Error != "" {
		line += "; its last work: " + term.Line(st.Error)
	}
	if err := term.Printf(a.Out, "%s\n", line); err != nil || len(st.Kept) == 0 {
		return err
	}
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, k := range st.Kept {
		source := ""
		if i, _, err := engine.Resolve(ctx, string(k.Instance)); err == nil {
			source = i.Source
		}
		rows = append(
			rows,
			[]string{
				source, string(k.Instance), fmt.Sprint(k.Users), term.ShortDuration(now.Sub(k.Since)),
				term.ShortDuration(now.Sub(k.Used)),
			},
		)
	}
	if err := term.Printf(a.Out, "\n"); err != nil {
		return err
	}
	return term.Table(a.Out, []string{"source", "instance", "users", "open for", "used before"}, rows)
}

// keep is the keeper, until it has nothing to do.
func (a *App) keep(ctx context.Context, tree string, idle time.Duration) error {
	a.Log = slog.New(slog.NewTextHandler(a.Err, nil))
	a.Host.Log = a.Log
	a.Host.Tree, a.Host.Now, a.Host.Role = tree, true, host.Keeper
	socket, err := KeeperSocket()
	if err != nil {
		return err
	}
	engine, err := a.Host.Engine(ctx)
	if err != nil {
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	owner := a.Owner() // once, and not beside others who read the environment
	duty := newDuty(a)
	defer duty.close()
	var overseeing sync.WaitGroup
	defer overseeing.Wait()
	overseen, over := context.WithCancel(ctx)
	defer over()
	overseeing.Go(func() { duty.oversee(overseen) })
	err = keeper.Serve(ctx, keeper.Options{
		Socket: socket, Build: build(), Idle: idle, Log: a.Log,
		Authorise: func(ctx context.Context, who compute.Who, id compute.ID) (keeper.Key, error) {
			lease, err := engine.Authorize(ctx, who, id)
			if err != nil && !refused(err) {
				err = &compute.Error{Op: "keeper.Authorise", ID: id, Kind: compute.ErrUnavailable, Err: err}
			}
			// One read: the source need not be in the key, as no two instances of an installation
			// have the same name.
			key := keeper.Key{Instance: lease.Instance, Generation: lease.Generation}
			if lease.Share != nil {
				key.Lease = lease.ID
			}
			return key, err
		},
		Open: func(ctx context.Context, key keeper.Key, who compute.Who) (compute.Conn, error) {
			// it has been looked at; a hook's token is what lets it in before and after a lease
			who.Owner, who.Admin = owner, true
			return a.afresh().lead(ctx, key, who)
		},
		Due: duty.due,
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// refused reports whether an error says that somebody may not use an instance, rather than that it
// cannot be found out.
func refused(err error) bool {
	return errors.Is(err, compute.ErrConflict) || errors.Is(err, compute.ErrNotFound) ||
		errors.Is(err, compute.ErrDenied) || errors.Is(err, context.Canceled)
}

// lead opens a connection by the configuration as it is now. What is opened for that, as a provider
// and its watch, is closed with the connection; a is used for nothing else.
func (a *App) lead(ctx context.Context, key keeper.Key, who compute.Who) (compute.Conn, error) {
	engine, err := a.Host.Engine(ctx)
	if err != nil { // its own trouble, which the client may not have
		a.Host.Close()
		return nil, &compute.Error{Op: "keeper.Open", ID: key.Instance, Kind: compute.ErrUnavailable, Err: err}
	}
	conn, err := engine.Connect(ctx, who, key.Instance)
	if err != nil {
		a.Host.Close()
		return nil, err
	}
	return &led{conn, sync.OnceFunc(a.Host.Close)}, nil
}

// led is a connection with what was opened for it alone.
type led struct {
	compute.Conn
	end func()
}

// Unwrap shows what else the connection can do.
func (l *led) Unwrap() compute.Conn { return l.Conn }

// Close closes the connection first.
func (l *led) Close() error {
	defer l.end()
	return l.Conn.Close()
}

// afresh is the same with nothing read yet, on the same store.
func (a *App) afresh() *App {
	b := *a
	b.Host = a.Host.Afresh()
	return &b
}

// KeeperSocket is where the keeper of this user and this store listens.
func KeeperSocket() (string, error) {
	state, err := host.StateDir()
	if err != nil {
		return "", err
	}
	dir, err := host.RuntimeDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(state))
	return filepath.Join(dir, "keeper-"+hex.EncodeToString(sum[:4])+".sock"), nil
}

// build tells this build of hostler from others, also from one of the same version that was
// compiled again.
func build() string {
	b := version.Read().Version
	if self, err := os.Executable(); err == nil {
		if info, err := os.Stat(self); err == nil {
			b += fmt.Sprintf("-%x-%x", info.Size(), info.ModTime().UnixNano())
		}
	}
	return b
}

// keeperStart says how to start a keeper that sees what this command sees.
func (a *App) keeperStart() (keeper.StartOptions, error) {
	socket, err := KeeperSocket()
	if err != nil {
		return keeper.StartOptions{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return keeper.StartOptions{}, err
	}
	state, err := host.StateDir()
	if err != nil {
		return keeper.StartOptions{}, err
	}
	opt := keeper.StartOptions{Executable: self, Args: []string{"keeper", "serve"}, Socket: socket, Log: filepath.Join(state, "keeper.log")}
	if wd, err := os.Getwd(); err == nil {
		opt.Args = append(opt.Args, "--tree", wd)
	}
	if a.Host.ConfigDir != "" {
		dir, err := filepath.Abs(a.Host.ConfigDir)
		if err != nil {
			return opt, err
		}
		opt.Args = append(opt.Args, "--config", dir)
	}
	// it may be started from within a run, and is no part of that
	opt.Env = slices.DeleteFunc(local.Unmarked(os.Environ()), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "HOSTLER_LEASE" || name == "HOSTLER_INSTANCE" || name == "HOSTLER_RUN"
	})
	if dir := os.Getenv("HOSTLER_CONFIG"); dir != "" { // its directory is not ours
		if abs, err := filepath.Abs(dir); err == nil {
			opt.Env = append(opt.Env, "HOSTLER_CONFIG="+abs)
		}
	}
	return opt, nil
}

// Ring tells the keeper of work that this command left, if it left any; it is started if need be.
// Where there cannot be a keeper the work is done here and now.
func (a *App) Ring(ctx context.Context) {
	if !a.Host.TakeLeft() {
		return
	}
	ctx = context.WithoutCancel(ctx)
	opt, err := a.keeperStart()
	if err == nil {
		err = keeper.Wake(ctx, opt, build())
	}
	if err == nil {
		return
	}
	a.Log.Warn("no keeper, so what is left is done now", "err", err)
	if engine, err := a.Host.Engine(ctx); err == nil {
		_, _ = engine.Work(ctx) // what fails is recorded, and tried again by whoever comes next
	}
}

// Connect opens a way into an instance, and says which type of source it is really of. Connections
// that take long to open are the keeper's, which has them open already or keeps them open for the
// next command; the others are cheap.
func (a *App) Connect(ctx context.Context, engine Engine, who compute.Who, i compute.Instance) (compute.Conn, string, error) {
	id := i.ID
	if a.Remote != nil {
		return a.ConnectRemote(ctx, who, i)
	}
	typ, err := a.Host.TypeOf(ctx, engine, i)
	if err == nil && typ == "pool" {
		var leaf compute.Instance
		if leaf, err = engine.Leaf(ctx, id); err == nil {
			typ, err = a.Host.TypeOf(ctx, engine, leaf)
		}
	}
	if err != nil {
		return nil, "", err
	}
	if !a.Host.Kinds.Kind(typ).Dear {
		conn, err := engine.Connect(ctx, who, id)
		return conn, typ, err
	}
	opt, err := a.keeperStart()
	if err == nil {
		var conn compute.Conn
		conn, err = keeper.Ensure(ctx, opt, keeper.Request{Build: build(), Who: who, Instance: id})
		if err == nil || !noKeeper(err) {
			return conn, typ, err
		}
	}
	a.Log.Warn("no keeper, so the connection is opened here", "err", err)
	conn, err := engine.Connect(ctx, who, id)
	return conn, typ, err
}

// DialEarly asks the keeper, if one runs, for its connection to what looks like an instance that is
// dear to connect to, while this process still opens the state; both take about as long. It is but
// a guess: whoever wants the connection looks first what the name means. The channel gives one
// connection, or nil.
func (a *App) DialEarly(ctx context.Context, who compute.Who, name string) <-chan compute.Conn {
	cfg, err := a.Host.Configuration()
	if err != nil || a.Remote != nil || !slices.ContainsFunc(cfg.Sources, func(s *config.Source) bool {
		return s.Kind.Dear && strings.HasPrefix(name, s.Name+"-")
	}) {
		return nil
	}
	socket, err := KeeperSocket()
	if err != nil {
		return nil
	}
	out := make(chan compute.Conn, 1)
	go func() { // ends with the answer, or with ctx
		conn, err := keeper.Dial(ctx, socket, keeper.Request{Build: build(), Who: who, Instance: compute.ID(name)})
		if err != nil {
			conn = nil
		}
		out <- conn
	}()
	return out
}

// noKeeper reports whether an error says that there is no keeper to be had or that it is in trouble
// itself, rather than that it refuses or that the instance does not answer.
func noKeeper(err error) bool {
	var e *compute.Error
	return errors.As(err, &e) && strings.HasPrefix(e.Op, "keeper") && !errors.Is(err, compute.ErrStale)
}
