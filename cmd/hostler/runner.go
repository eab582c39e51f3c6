package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/junit"
	"github.com/hostler-project/hostler/runlog"
	"github.com/hostler-project/hostler/trace"
	"github.com/hostler-project/hostler/workspace/collect"
)

// runner is one run: what it obtained, and how far it has come.
type runner struct {
	app     *app
	opt     *runOptions
	started time.Time

	engine    engine
	who       compute.Who
	instance  compute.Instance
	lease     compute.Lease
	temporary bool   // acquired for this run alone
	direct    string // the source of type local that is used without a lease, as crcache did; "": none
	begun     time.Time
	ended     time.Time
	exit      *compute.Exit // nil: there is none

	part    func(*runlog.Record) // says in the record of which run it is a part; nil: of none
	given   *compute.Lease       // what was acquired for it already; nil: it acquires
	own     map[string]string    // variables of the command that are hostler's own
	asked   string               // the name
	early   <-chan compute.Conn  // what dialEarly found for the name; nil: nobody asked
	signals chan string          // to the command
	written []*written           // where what it writes goes
	words   []string             // the command; empty: a shell
	typ     string               // of the source that the connection leads to
	before  *collect.Listing     // what there was before the command, of that which it may make; nil: nobody asks
	sending *sending             // the tree that goes along; nil: none
	scans   sync.WaitGroup       // of it, that go on

	settings runSettings
	rec      *runlog.Run // nil: it is not recorded
	outputs  []*output
	phases   runlog.Phases
	hidden   []string       // values that are not recorded
	want     results        // what is brought back
	report   *junit.Report  // what the reports of tests say; nil: none was asked for
	reports  int            // so many
	script   []byte         // of --script
	pruning  sync.WaitGroup // of older records

	mu      sync.Mutex
	running bool // signals go to the command
	signal  string
	ints    int
	renewed compute.Lease // the lease as watch has it; no ID: as it was
}

// obtain finds the instance by its name or its lease's, or acquires one of a source.
func (r *runner) obtain(ctx context.Context, name string) error {
	a, w := r.app, &r.opt.want
	kept := r.opt.keep || w.name != ""
	if r.given != nil {
		r.lease, r.temporary, r.instance = *r.given, !kept, compute.Instance{ID: r.given.Instance, Source: r.given.Source}
		return nil
	}
	bound := !kept && !r.opt.keepFailed // else it may outlive us
	a.leaseIdle = idleKept
	r.early, r.asked = a.dialEarly(ctx, a.who(ctx, nil, name), name), name
	engine, err := a.engine(ctx)
	if err != nil {
		return err
	}
	r.engine = engine
	r.who = a.who(ctx, engine, cmp.Or(name, w.name))
	r.who.Admin = r.opt.any
	if name == "" && w.name != "" { // --name: that lease, if there is one
		if i, l, err := engine.Resolve(ctx, w.name); err == nil && l != nil && l.Name == w.name {
			return r.take(ctx, i)
		}
	}
	source := name
	if name == "" {
		if source, err = a.sourceName(); err != nil {
			return err
		}
	} else if lease, err := engine.Use(ctx, r.who, compute.ID(name)); err == nil { // one read, where Resolve and Use would be two
		r.lease, r.instance = lease, compute.Instance{ID: lease.Instance, Source: lease.Source}
		if r.opt.report != "" {
			r.instance, _, err = engine.Resolve(ctx, string(lease.Instance))
		}
		return err
	} else if !errors.Is(err, compute.ErrNotFound) {
		return err
	} else if !a.isSource(name) {
		return a.unknownName(ctx, name)
	}
	req, err := a.request(w, source)
	if err == nil {
		err = a.checkName(ctx, engine, w.name)
	}
	if err != nil {
		return err
	}
	if !bound {
		if req.TTL == 0 && a.sourceTTL(source) == 0 {
			req.TTL = ttlKept
		}
	} else if err := a.bind(&req, os.Getpid()); err != nil {
		return err
	}
	a.defaultIdle(&req, idleKept)
	leases, queued, err := a.takeTimed(ctx, engine, req)
	r.phases.Queue = queued.Seconds()
	if err != nil {
		return err
	}
	r.lease, r.temporary = leases[0], !kept
	r.instance = compute.Instance{ID: r.lease.Instance, Source: r.lease.Source}
	if r.opt.report != "" { // which tells more of it
		r.instance, _, err = engine.Resolve(ctx, string(r.lease.Instance))
	}
	if err == nil && kept && !a.flags.quiet {
		_ = fprintf(a.errs, "%s is yours until `hostler release %s`\n", r.instance.ID, handle(r.lease))
	}
	return err
}

// closeEarly gives back a connection that nobody came to use.
func (r *runner) closeEarly() {
	if r.early != nil {
		closeIf(<-r.early)
	}
}

func closeIf(conn compute.Conn) {
	if conn != nil {
		_ = conn.Close()
	}
}

// take uses an instance that stands under a lease already.
func (r *runner) take(ctx context.Context, i compute.Instance) (err error) {
	r.instance = i
	r.lease, err = r.engine.Use(ctx, r.who, i.ID)
	return err
}

// giveBack releases what was acquired for this run. A problem there is a warning: the next command finishes it.
func (r *runner) giveBack(ctx context.Context) {
	if !r.temporary {
		return
	}
	defer phase(&r.phases.Release)()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	who := compute.Who{Owner: r.who.Owner, Lease: r.lease.ID}
	err := r.engine.Release(ctx, who, compute.ReleaseOptions{}, r.instance.ID)
	if err != nil && !errors.Is(err, compute.ErrNotLeased) && !errors.Is(err, compute.ErrStale) {
		_ = fprintf(r.app.errs, "%s: %s is not given back yet: %s\n", r.app.program, r.instance.ID, plain(err))
	}
	r.app.ring(ctx)
}

// command runs it, with all that goes along.
func (r *runner) command(ctx context.Context, words []string) error {
	a, o := r.app, r.opt
	r.words = words
	r.who.Lease = r.lease.ID // from here on it is this lease or none, though the same user may get the instance again
	connected := phase(&r.phases.Connect)
	conn, typ, err := r.connect(ctx)
	connected()
	if err != nil {
		return err
	}
	defer conn.Close()
	r.typ = typ
	local := typ == "local" && a.here()
	cmd := &compute.Command{Args: words, User: o.user, Signals: r.signals}
	ownTerminal := o.tty || o.stdin == "" && !o.detach && isTerminal(a.in) && isTerminal(a.out)
	r.join(cmd, local && !ownTerminal)
	if r.sending != nil {
		if cmd.Dir = path.Join(r.sending.sub, o.dir); path.IsAbs(o.dir) {
			cmd.Dir = o.dir
		}
	} else if cmd.Dir, err = o.workDir(local || typ == "sandbox" && a.hostRoot(ctx, r.engine, r.instance)); err != nil {
		return err
	}
	if cmd.Env, err = o.environment(local, os.Environ()); err != nil {
		return err
	}
	maps.Copy(cmd.Env, map[string]string{"HOSTLER_INSTANCE": string(r.instance.ID), "HOSTLER_LEASE": r.lease.ID, "HOSTLER_RUN": r.id()})
	maps.Copy(cmd.Env, r.own)
	if r.isShell() && local && os.Getenv("SHELL") != "" {
		cmd.Args = []string{os.Getenv("SHELL")}
	}
	in, closeIn, err := o.input(a.in)
	if err != nil {
		return err
	}
	defer closeIn()
	cmd.Stdin = in
	restore := func() {}
	if ownTerminal {
		if restore, err = terminal(a, cmd); err != nil {
			return err
		}
	} else if isTerminal(in) && !local && !o.forward && o.stdin == "" {
		cmd.Stdin = nil // nobody meant to type, as the command has no terminal
	} else if isTerminal(in) {
		cmd.Stdin = struct{ io.Reader }{in} // the command is not in the terminal's foreground, so it cannot read it itself
	}
	defer restore()
	if o.scriptFile != "" {
		remove, err := r.putScript(ctx, conn, cmd)
		if err != nil {
			return err
		}
		defer remove()
	}
	if r.sending != nil {
		defer r.sending.giveBack() // what the command made is collected first
	} else if r.before, err = r.look(ctx, conn, cmd); err != nil {
		return err
	}
	err = r.await(ctx, conn, cmd, restore)
	restore() // what follows is said to a terminal as it was
	return r.collect(ctx, conn, cmd, r.before, err)
}

// slot waits for the command's turn where the source limits how many run at once. The lease may have ended meanwhile, so it is asked again.
func (r *runner) slot(ctx context.Context) (free func(), err error) {
	if r.direct != "" || !r.app.limited(r.instance.Source) {
		return func() {}, nil
	}
	local, err := r.app.embedded(ctx) // a controller's are not limited here
	if err != nil {
		return nil, err
	}
	free, err = local.Slot(ctx, r.instance.ID)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err == nil {
		if _, err = r.engine.Use(ctx, r.who, r.instance.ID); err != nil {
			free()
		}
	}
	if errors.Is(err, errLeaseEnded) || errors.Is(err, compute.ErrStale) {
		err = &compute.Error{ID: r.instance.ID, Kind: compute.ErrNotLeased, Err: errors.New("the lease ended while the command waited for its turn")}
	}
	return free, err
}

// connect opens the way in, and says which type of source it leads to.
func (r *runner) connect(ctx context.Context) (compute.Conn, string, error) {
	if r.early != nil {
		conn := <-r.early
		r.early = nil
		typ, err := r.app.typeOf(ctx, r.engine, r.instance)
		if conn != nil && err == nil && isDear(typ) && r.asked == string(r.instance.ID) {
			return conn, typ, nil
		}
		closeIf(conn)
	}
	if r.direct == "" {
		return r.app.connect(ctx, r.engine, r.who, r.instance)
	}
	local, err := r.app.embedded(ctx)
	if err != nil {
		return nil, "", err
	}
	p, err := local.Provider(ctx, r.direct)
	if err != nil {
		return nil, "", err
	}
	conn, err := p.Connect(ctx, r.instance.ID)
	return conn, "local", err
}

// hostRoot reports whether a sandbox, a pool's too, has this machine's own files, so that commands can start where the user is.
func (a *app) hostRoot(ctx context.Context, engine engine, i compute.Instance) bool {
	if a.remote != nil {
		_, s, err := a.remoteLeaf(ctx, i)
		return err == nil && a.here() && cmp.Or(s.Image, "host") == "host"
	}
	cfg, err := a.configuration()
	if err != nil {
		return false
	}
	s, err := cfg.Source(i.Source)
	if err == nil && s.Type == "pool" {
		var leaf compute.Instance
		if leaf, err = engine.Leaf(ctx, i.ID); err == nil {
			s, err = cfg.Source(leaf.Source)
		}
	}
	if err != nil {
		return false
	}
	return cmp.Or(s.Image, s.Settings["image"], "host") == "host"
}

// await runs the command and watches its time and its lease.
func (r *runner) await(ctx context.Context, conn compute.Conn, cmd *compute.Command, restore func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var watching sync.WaitGroup
	watching.Go(func() { r.watch(ctx, cancel, restore) })
	defer watching.Wait()
	defer cancel(nil)
	free, err := r.slot(ctx)
	if err != nil {
		return err
	}
	defer free()
	if r.opt.detach {
		return r.detached(ctx, conn, cmd)
	}
	if r.opt.timeout.d > 0 {
		limit, stop := context.WithTimeout(context.Background(), r.opt.timeout.d)
		defer stop()
		defer context.AfterFunc(limit, func() { cancel(errTimeout) })()
	}

	run := conn.Run
	if r.sending != nil {
		run = func(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
			return r.runSynced(ctx, conn, cmd)
		}
	} else {
		r.hold(conn, cmd)
		r.recordCommand(cmd.Env)
		r.setRunning(true)
		r.begun = time.Now()
	}
	running, span := trace.Start(ctx, "run", trace.Attr{Key: "hostler.instance", Value: string(r.instance.ID)})
	exit, err := run(running, cmd)
	span.Set(trace.Attr{Key: "process.exit.code", Value: exit.Status()})
	span.End(err)
	r.ended = time.Now()
	if !r.begun.IsZero() {
		r.phases.Command = r.ended.Sub(r.begun).Seconds()
	}
	r.setRunning(false)
	r.endOutputs()
	if cause := context.Cause(ctx); err != nil && cause != nil {
		switch {
		case errors.Is(cause, errTimeout):
			restore()
			_ = fprintf(r.app.errs, "%s: %s: the command was killed after --timeout %s\n", r.app.program, r.instance.ID, r.opt.timeout.d)
			return status(exitTimeout)
		case errors.Is(cause, errLeaseEnded):
			restore()
			_ = fprintf(r.app.errs, "%s: %s: the lease has ended, and the command with it\n", r.app.program, r.instance.ID)
			return status(128 + compute.SignalNumber("KILL"))
		}
	}
	if err != nil {
		return fmt.Errorf("%w", r.whenLost(cmd, err))
	}
	r.exit = &exit
	if exit.Reason != "" {
		restore()
		_ = fprintf(r.app.errs, "%s: %s: the command was killed: %s\n", r.app.program, r.instance.ID, exit.Reason)
	}
	n := exit.Status()
	for _, w := range r.written {
		if err := w.lost(); err != nil {
			restore()
			r.app.tell(err)
			n = max(n, 1)
		}
	}
	if n != 0 {
		return status(n)
	}
	return nil
}

var (
	errTimeout    = errors.New("--timeout")
	errLeaseEnded = errors.New("the lease has ended")
)

// terminal gives the command a terminal of the size of ours, which it puts into raw mode until restore is called.
func terminal(a *app, cmd *compute.Command) (restore func(), err error) {
	size := compute.Size{Rows: 24, Cols: 80}
	out, ok := a.out.(*os.File)
	if ok && term.IsTerminal(int(out.Fd())) {
		if cols, rows, err := term.GetSize(int(out.Fd())); err == nil {
			size = compute.Size{Rows: rows, Cols: cols}
		}
		var stop func()
		cmd.Resize, stop = sizes(out)
		restore = stop
	}
	cmd.TTY, cmd.Term = &size, os.Getenv("TERM")
	in, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return once(restore), nil
	}
	old, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	stop := restore
	return once(func() {
		_ = term.Restore(int(in.Fd()), old)
		if stop != nil {
			stop()
		}
	}), nil
}

func once(f func()) func() {
	if f == nil {
		return func() {}
	}
	return sync.OnceFunc(f)
}
