package runcmd

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

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/observe/trace"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/sandbox"
	"github.com/hostler-project/hostler/run/runlog"
)

// Task is what a run is to do, as it was told and read, before anything is asked of anybody.
type Task struct {
	Opt      *RunOptions
	Words    []string // the command; empty: a shell
	script   []byte   // of --script
	settings runSettings
	own      map[string]string    // variables of the command that are hostler's own
	part     func(*runlog.Record) // says in the record of which run it is a part; nil: of none
	// the command is watched for what it looks for in vain; nil: it is not
	watching *watching
	// the tree that several runs take along; nil: this one is for itself
	seen *outlook
}

// isShell tells whether there is no command.
func (t *Task) isShell() bool { return len(t.Words) == 0 && t.script == nil }

// runner is one run: what it is to do, what it obtained for that, and how far it has come.
type runner struct {
	Task
	*leasecmd.Claim // the instance
	Interrupts
	sending *sending   // the tree that goes along; nil: none
	back    harvest    // what is brought back
	rec     *recording // nil: it is not recorded
	written []*written // where what it writes goes

	bind  string         // how the tree itself is mounted; "": it is not
	bound string         // where in that the caller is
	key   *runlog.Key    // --key's, until the run is bound to it; nil: none
	asked string         // what is asked for, as that notes it
	told  *runlog.Record // of the run that is told again; nil: this is one of its own

	typ     string // of the source that the connection leads to
	phases  runlog.Phases
	started time.Time
	Begun   time.Time
	ended   time.Time
	exit    *compute.Exit // nil: there is none
}

func NewRunner(a *cli.App, t Task) *runner {
	return &runner{Task: t, Claim: &leasecmd.Claim{App: a, Ask: t.Opt.claim()}, Interrupts: Interrupts{stop: t.Opt.stop},
		started: time.Now()}
}

// whole is a run from its beginning to its end.
func (r *runner) whole(ctx context.Context, name string) (err error) {
	defer func() { err = errors.Join(err, writeReport(r.App, r.Opt.report, r, err)) }()
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if r.Opt.key != "" {
		if told, err := r.takeKey(ctx, name); told || err != nil {
			return err
		}
	}
	err = r.beginRecord(name)
	defer func() { r.endRecord(err, context.Cause(ctx)) }()
	if err != nil {
		return err
	}
	ctx, stop := r.Listen(ctx)
	defer r.CloseEarly()
	defer r.endScan()
	defer stop() // first, as it ends what is still being asked
	if err := r.beginScan(ctx); err != nil {
		return err
	}
	if name, err = r.bindTree(name); err != nil {
		return err
	}
	if r.Ask.Start = r.Opt.dir; r.bound != "" || r.sending != nil {
		r.Ask.Start = leasecmd.NoTree
	}
	if err := r.timedObtain(ctx, name); err != nil {
		return r.Interrupted(err, false)
	}
	defer func() {
		if !r.keepIt(err) {
			defer phase(&r.phases.Release)()
			r.GiveBack(ctx)
		}
	}()
	err = r.Command(ctx)
	r.hintOfHome(err)
	return r.Interrupted(err, !r.Begun.IsZero())
}

// hintOfHome says, where a command has failed that began in the home itself, that a sandbox shows
// nothing that lies there.
func (r *runner) hintOfHome(err error) {
	a := r.App
	var failed term.Exit
	if !errors.As(err, &failed) || !r.Temporary || r.bound != "" || r.sending != nil || r.Opt.dir != "" || a.Quiet ||
		a.Compat || !a.Here() {
		return
	}
	dir, e := os.Getwd()
	if _, rooted := leasecmd.HostRooted(a, r.Instance.Source); e == nil && rooted && dir == path.Clean(os.Getenv("HOME")) {
		_ = term.Printf(a.Err, "hint: a sandbox does not show what lies in your home itself: work in a directory below it\n")
	}
}

// prepare reads what the options name and checks what they say, before anything is asked of
// anybody.
func (r *runner) prepare(ctx context.Context) (err error) {
	o := r.Opt
	if cfg, err := r.App.Host.Configuration(); err == nil { // else the first who needs it says so
		if r.settings, err = readRunSettings(cfg); err != nil {
			return err
		}
	}
	if o.scriptFile != "" {
		if o.shell {
			return fault.Invalid("", "--script and -c both say what to run")
		}
		if r.script, err = readScript(o.scriptFile); err != nil {
			return err
		}
	}
	if r.back.want, err = newResults(o.results, r.settings.results); err != nil {
		return err
	}
	if o.detach {
		if err := r.checkDetach(); err != nil {
			return err
		}
	}
	return r.prepareEnv(ctx)
}

func (r *runner) timedObtain(ctx context.Context, name string) error {
	obtained := phase(&r.phases.Acquire)
	err := r.Obtain(ctx, name)
	obtained()
	r.phases.Queue = r.Queued.Seconds()
	r.phases.Acquire -= r.phases.Queue
	return err
}

// timedEnter opens the way in. To take another instance counts as acquiring it.
func (r *runner) timedEnter(ctx context.Context) (compute.Conn, string, error) {
	queued := r.Queued
	connected := phase(&r.phases.Connect)
	conn, typ, err := r.Enter(ctx)
	connected()
	queued = r.Queued - queued
	r.phases.Connect -= r.Retaken.Seconds()
	r.phases.Acquire += (r.Retaken - queued).Seconds()
	r.phases.Queue += queued.Seconds()
	return conn, typ, err
}

// Command runs it, with all that goes along.
func (r *runner) Command(ctx context.Context) error {
	conn, typ, err := r.timedEnter(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	r.typ = typ
	cmd, restore, closeIn, err := r.makeCommand(ctx)
	if err != nil {
		return err
	}
	defer closeIn()
	defer restore()
	if r.script != nil {
		remove, err := r.putScript(ctx, conn, cmd)
		if err != nil {
			return err
		}
		defer remove()
	}
	if r.watching != nil {
		end, err := r.watching.begin(ctx, conn, cmd)
		if err != nil {
			return err
		}
		defer end()
	}
	if r.sending != nil {
		defer r.sending.giveBack() // what the command made is collected first
	} else if r.back.before, err = r.look(ctx, conn, cmd); err != nil {
		return err
	}
	err = r.await(ctx, conn, cmd, restore)
	restore() // what follows is said to a terminal as it was
	return r.collect(ctx, conn, cmd, err)
}

// makeCommand is the command as the other side is told it. restore gives our terminal back, closeIn
// its input.
func (r *runner) makeCommand(ctx context.Context) (cmd *compute.Command, restore, closeIn func(), err error) {
	a, o := r.App, r.Opt
	local := r.typ == "local" && a.Here()
	cmd = &compute.Command{Args: r.Words, User: o.user, Signals: r.signals}
	ownTerminal := o.tty || o.stdin == "" && !o.detach && term.IsTerminal(a.In) && term.IsTerminal(a.Out)
	// with a key what it writes is to be told again
	r.join(cmd, local && !ownTerminal && o.key == "")
	if cmd.Dir, err = r.directory(ctx, local); err != nil {
		return nil, nil, nil, err
	}
	if cmd.Env, err = o.environment(local, os.Environ()); err != nil {
		return nil, nil, nil, err
	}
	maps.Copy(cmd.Env, map[string]string{"HOSTLER_INSTANCE": string(r.Instance.ID), "HOSTLER_LEASE": r.Lease.ID, "HOSTLER_RUN": r.id()})
	maps.Copy(cmd.Env, r.own)
	if r.isShell() && local && os.Getenv("SHELL") != "" {
		cmd.Args = []string{os.Getenv("SHELL")}
	}
	in, closeIn, err := o.input(a.In)
	if err != nil {
		return nil, nil, nil, err
	}
	cmd.Stdin, restore = in, func() {}
	switch {
	case ownTerminal:
		if restore, err = terminal(a, cmd); err != nil {
			closeIn()
			return nil, nil, nil, err
		}
	case term.IsTerminal(in) && !local && !o.forward && o.stdin == "":
		cmd.Stdin = nil // nobody meant to type, as the command has no terminal
	case term.IsTerminal(in):
		// the command is not in the terminal's foreground, so it cannot read it itself
		cmd.Stdin = struct{ io.Reader }{in}
	}
	return cmd, restore, closeIn, nil
}

// directory is where the command starts; in a copy of the tree it is below that.
func (r *runner) directory(ctx context.Context, local bool) (string, error) {
	switch {
	case r.bound != "" && path.IsAbs(r.Opt.dir):
		return r.Opt.dir, nil
	case r.bound != "":
		return path.Join(r.bound, r.Opt.dir), nil
	case r.sending == nil:
		return r.Opt.workDir(local || r.typ == "sandbox" && hostRoot(r.App, ctx, r.Engine, r.Instance))
	case path.IsAbs(r.Opt.dir):
		return r.Opt.dir, nil
	}
	return path.Join(r.sending.sub, r.Opt.dir), nil
}

// hostRoot reports whether a sandbox, a pool's too, has this machine's own files, so that commands
// can start where the user is.
func hostRoot(a *cli.App, ctx context.Context, engine cli.Engine, i compute.Instance) bool {
	if !a.Here() {
		return false
	}
	leaf, err := engine.Leaf(ctx, i.ID)
	if err != nil {
		return false
	}
	image := pool.MadeOf(leaf)
	if a.Remote != nil {
		s, _ := a.RemoteSource(leaf.Source)
		_, host := sandbox.HostRoot(cmp.Or(image, s.Image, "host"))
		return host
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return false
	}
	s, err := cfg.Source(leaf.Source)
	if err != nil {
		return false
	}
	_, host := sandbox.HostRoot(cmp.Or(image, s.Image, s.Settings["image"], "host"))
	return host
}

// await runs the command and watches its time and its lease.
func (r *runner) await(ctx context.Context, conn compute.Conn, cmd *compute.Command, restore func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var watching sync.WaitGroup
	watching.Go(func() { r.Watch(ctx, cancel) })
	defer watching.Wait()
	defer cancel(nil)
	free, err := r.Slot(ctx, conn)
	if err != nil {
		return err
	}
	defer free()
	if r.Opt.detach {
		return r.detached(ctx, conn, cmd)
	}
	if r.Opt.timeout.Value > 0 {
		limit, stop := context.WithTimeout(context.Background(), r.Opt.timeout.Value)
		defer stop()
		defer context.AfterFunc(limit, func() { cancel(errTimeout) })()
	}
	running, span := trace.Start(ctx, "run", trace.Attr{Key: "hostler.instance", Value: string(r.Instance.ID)})
	run := r.runPlain
	if r.sending != nil {
		run = r.runSynced
	}
	exit, left, err := bounded(running, func() (compute.Exit, error) { return run(running, conn, cmd) })
	span.Set(trace.Attr{Key: "process.exit.code", Value: exit.Status()})
	span.End(err)
	r.hasEnded(left)
	cause := context.Cause(ctx)
	if cause == nil && errors.Is(err, compute.ErrLost) {
		cause = r.Over(ctx)
	}
	return r.outcome(exit, err, cause, cmd, restore)
}

func (r *runner) runPlain(ctx context.Context, conn compute.Conn, cmd *compute.Command) (compute.Exit, error) {
	r.hold(conn, cmd)
	if err := r.begins(cmd); err != nil {
		return compute.Exit{}, err
	}
	return conn.Run(ctx, cmd)
}

// begins notes that the command starts now. With an error it must not.
func (r *runner) begins(cmd *compute.Command) error {
	if err := r.recordCommand(cmd.Env); err != nil {
		return err
	}
	r.Begun = time.Now()
	r.setRunning(true)
	return nil
}

// hasEnded notes that it runs no more. left: what it wrote may still be on its way.
func (r *runner) hasEnded(left bool) {
	r.ended = time.Now()
	if !r.Begun.IsZero() {
		r.phases.Command = r.ended.Sub(r.Begun).Seconds()
	}
	r.setRunning(false)
	if r.rec != nil && !left {
		r.rec.endOutputs()
	}
}

// outcome is how the run ends by how the command did. cause: why our context ended; nil: it did
// not.
func (r *runner) outcome(exit compute.Exit, err, cause error, cmd *compute.Command, restore func()) error {
	tell := func(format string, args ...any) {
		restore()
		_ = term.Printf(r.App.Err, "%s: %s: %s\n", r.App.Program, r.Instance.ID, fmt.Sprintf(format, args...))
	}
	switch {
	case err != nil && errors.Is(cause, errTimeout):
		tell("the command was killed after --timeout %s", r.Opt.timeout.Value)
		return term.Exit(term.ExitTimeout)
	case err != nil && leasecmd.HasFallen(err, cause):
		return leasecmd.LostWhile(r.Instance.ID, err, cause)
	case err != nil && leasecmd.IsLeaseOver(err, cause):
		tell("the lease has ended, and the command with it")
		return term.Exit(128 + compute.SignalNumber("KILL"))
	case errors.Is(err, compute.ErrLost):
		return r.whenLost(cmd, leasecmd.LostWhile(r.Instance.ID, err, nil))
	case err != nil:
		return fmt.Errorf("%w", err)
	}
	r.exit = &exit
	if exit.Reason != "" {
		tell("the command was killed: %s", exit.Reason)
	}
	n := exit.Status()
	for _, w := range r.written {
		if err := w.lost(); err != nil {
			restore()
			r.App.Tell(err)
			n = max(n, 1)
		}
	}
	if n != 0 {
		return term.Exit(n)
	}
	return nil
}

var errTimeout = errors.New("--timeout")
