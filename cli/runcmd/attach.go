package runcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/run/runlog"
)

// attachOptions are attach's.
type attachOptions struct {
	look, take, all bool
}

func NewAttach(a *cli.App) *cobra.Command {
	var o attachOptions
	cmd := &cobra.Command{
		Use:   "attach RUN",
		Short: "Go on with a run whose caller has gone, or look at one",
		Long: `A run whose client was killed, or lost its network, goes on for 30 seconds; one that was started with --detach until it ends. This goes on with it: with its output
from where that was, with input, signals, the terminal's size and the exit status. What it wrote and nobody kept is counted in a line of the output.

Only one may type; others --look. TERM and HUP end attach alone, and Ctrl-C is the command's, as in hostler run; with --look it ends attach. How a run ended is
known there for an hour. docs/attach.md has more.`,
		Example: "  hostler attach last\n  hostler attach last --look",
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, p2 string) (cli.Candidates, cobra.ShellCompDirective) {
			return completeRuns(a, cmd, args, p2)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return attach(a, cmd.Context(), &o, args[0]) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.look, "look", false, "only look: input and signals are not the command's")
	f.BoolVar(&o.take, "take", false, "take it over from who may type now")
	f.BoolVar(&o.all, "all", false, "print all output that is kept there, not only what was not printed yet")
	return cmd
}

var errLeft = &compute.Error{Kind: compute.ErrLost, Err: errors.New("left")}

// attach goes on with a run.
func attach(a *cli.App, ctx context.Context, o *attachOptions, name string) error {
	rec, err := findRun(name)
	if err != nil {
		return err
	}
	log, err := runs()
	if err != nil {
		return err
	}
	if rec.Lease == "" {
		return notHeld(rec, "it has no lease")
	}
	if _, _, outlived := log.Shown(rec.ID); outlived && rec.State == runlog.Ended {
		return replay(a, log, rec, o)
	}
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	c := &leasecmd.Claim{App: a, Engine: engine, Who: a.Who(ctx, engine, rec.Instance)}
	c.Who.Lease = rec.Lease
	if c.Lease, err = engine.Use(ctx, c.Who, compute.ID(rec.Instance)); err != nil {
		if errors.Is(err, compute.ErrConflict) || errors.Is(err, compute.ErrNotFound) {
			return notHeld(rec, leaseOver)
		}
		return err
	}
	c.Instance = compute.Instance{ID: c.Lease.Instance, Source: c.Lease.Source}
	conn, _, err := c.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	all, err := heldBy(ctx, conn)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(h compute.HeldRun) bool { return h.Run == rec.ID })
	if i < 0 {
		return notHeld(rec, "it is not held on "+rec.Instance)
	}
	if rec.State != runlog.Ended && !log.Recorded(rec.ID) {
		if err := startRecorder(a, rec.ID, nil, len(rec.Secrets) == 0); err != nil {
			a.Log.Warn("nobody records the run", "run", rec.ID, "err", err)
		}
	}
	out, errs := tally{a.Out, new(int64)}, tally{a.Err, new(int64)}
	cmd := &compute.Command{
		Stdout: out, Stderr: errs,
		Hold: &compute.Hold{Run: rec.ID, Attach: true, Look: o.look, Take: o.take, Out: -1, Err: -1},
	}
	if !o.look && len(rec.Secrets) == 0 { // a secret has another length in the record
		if err := catchUp(a, log, rec.ID, o.all, out, errs); err != nil {
			return err
		}
		cmd.Hold.Out, cmd.Hold.Err = *out.n, *errs.n
		defer func() { _ = log.SetShown(rec.ID, *out.n, *errs.n) }()
	}
	return attached(c, ctx, conn, cmd, all[i])
}

// leaseOver is why a run ended that nobody ended.
const leaseOver = "its lease has ended, and the run with it"

// catchUp prints what is recorded of a run and nobody has seen yet, or all, and notes in the
// tallies how far that is.
func catchUp(a *cli.App, log *runlog.Log, id string, all bool, out, errs tally) error {
	from, fromErr, ok := log.Shown(id)
	if !ok { // what was recorded was shown as well
		from, _ = log.Tail(id, "stdout", 0)
		fromErr, _ = log.Tail(id, "stderr", 0)
	}
	if all {
		from, fromErr = 0, 0
	}
	var err error
	if *out.n, err = log.Copy(out.w, id, "stdout", from); err == nil {
		*errs.n, err = log.Copy(errs.w, id, "stderr", fromErr)
	}
	return err
}

// replay is attach to a run that has ended, and whose end is recorded.
func replay(a *cli.App, log *runlog.Log, rec runlog.Record, o *attachOptions) error {
	out, errs := tally{a.Out, new(int64)}, tally{a.Err, new(int64)}
	if err := catchUp(a, log, rec.ID, o.all || o.look, out, errs); err != nil {
		return err
	}
	if !o.look {
		_ = log.SetShown(rec.ID, *out.n, *errs.n)
	}
	if rec.Error != "" || rec.Exit == nil {
		return notHeld(rec, rec.Error)
	}
	if rec.Reason != "" {
		_ = term.Printf(a.Err, "%s: %s: the command was killed: %s\n", a.Program, rec.Instance, rec.Reason)
	}
	if *rec.Exit != 0 {
		return term.Exit(*rec.Exit)
	}
	return nil
}

// notHeld is the error for a run that cannot be gone on with.
func notHeld(rec runlog.Record, why string) error {
	return &compute.Error{ID: compute.ID(rec.ID), Kind: compute.ErrNotFound, Err: errors.New(why), Hint: "hostler logs " + rec.ID}
}

// heldBy lists what is held behind a connection. The error says why nobody would hold anything
// there.
func heldBy(ctx context.Context, conn compute.Conn) ([]compute.HeldRun, error) {
	h, ok := compute.As[compute.Holder](conn)
	if !ok {
		return nil, &compute.Error{Kind: compute.ErrInvalid, Err: errNobody}
	}
	all, err := h.Held(ctx)
	if errors.Is(err, compute.ErrInvalid) {
		err = &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("%w (%s)", errNobody, term.ErrorText(err))}
	}
	return all, err
}

var errNobody = errors.New(
	"nobody there keeps a command when its caller has gone: that takes hostler's own agent, which the types local, chroot and fake have not",
)

// attached is with a run until it has ended, or we leave.
func attached(c *leasecmd.Claim, ctx context.Context, conn compute.Conn, cmd *compute.Command, of compute.HeldRun) (err error) {
	a, look := c.App, cmd.Hold.Look
	restore := func() {}
	signals := make(chan string, 8)
	if !look {
		cmd.Signals = signals
		if of.Stdin || of.TTY {
			cmd.Stdin = a.In
			if term.IsTerminal(a.In) {
				cmd.Stdin = struct{ io.Reader }{a.In}
			}
		}
		if of.TTY && term.IsTerminal(a.In) && term.IsTerminal(a.Out) {
			if restore, err = terminal(a, cmd); err != nil {
				return err
			}
		}
	}
	defer restore()
	ctx, cancel := context.WithCancelCause(ctx)
	var loops sync.WaitGroup
	defer loops.Wait()
	defer cancel(nil)
	ended := context.AfterFunc(ctx, restore) // what is said after that is read by people
	defer ended()
	loops.Go(func() { c.Watch(ctx, cancel) })
	got := make(chan os.Signal, 8)
	signal.Notify(got, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE)
	defer signal.Stop(got)
	var by string
	loops.Go(func() { by = passOn(ctx, cancel, got, signals, look) })
	exit, _, err := bounded(ctx, func() (compute.Exit, error) { return conn.Run(ctx, cmd) })
	cause := context.Cause(ctx)
	if cause == nil && errors.Is(err, compute.ErrLost) {
		cause = c.Over(ctx)
	}
	cancel(nil)
	loops.Wait()
	switch {
	case err == nil:
		if exit.Reason != "" {
			_ = term.Printf(a.Err, "%s: %s: the command was killed: %s\n", a.Program, c.Instance.ID, exit.Reason)
		}
		if n := exit.Status(); n != 0 {
			return term.Exit(n)
		}
		return nil
	case leasecmd.HasFallen(err, cause):
		return leasecmd.LostWhile(c.Instance.ID, err, cause)
	case leasecmd.IsLeaseOver(err, cause):
		_ = term.Printf(a.Err, "%s: %s: the lease has ended, and the command with it\n", a.Program, c.Instance.ID)
		return term.Exit(128 + compute.SignalNumber("KILL"))
	case cause == error(errLeft):
		left := "it goes on"
		if !of.Keep && of.Watchers == 0 {
			left = "it ends in 30 s, unless somebody attaches"
		}
		return &term.Interruption{Signal: by, Became: left}
	case by != "" && errors.Is(err, context.Canceled):
		return term.Exit(128 + compute.SignalNumber("KILL"))
	case errors.Is(err, compute.ErrConflict):
		return &compute.Error{
			ID: compute.ID(cmd.Hold.Run), Kind: compute.ErrConflict,
			Err: errors.New("somebody else is there and may type"), Hint: "--look only looks; --take takes it over",
		}
	}
	return err
}

// passOn hands signals to the command, or has us leave, until ctx ends. It returns the last that
// ended something.
func passOn(ctx context.Context, cancel context.CancelCauseFunc, got <-chan os.Signal, signals chan<- string, look bool) (by string) {
	ints := 0
	for {
		select {
		case <-ctx.Done():
			return by
		case s := <-got:
			name := term.SignalNames[s]
			switch {
			case name == "": // PIPE: who reads has gone, and the write says so
				continue
			case name == "TERM" || name == "HUP" || look && name == "INT":
				by = name
				cancel(errLeft)
				continue
			case look:
				continue
			case name == "INT":
				if ints++; ints > 2 {
					by = name
					cancel(nil) // which ends the command
					continue
				}
				name = [...]string{"INT", "TERM"}[ints-1]
			}
			select {
			case signals <- name:
			default: // the command takes no more
			}
		}
	}
}

// hold has the other side keep the command for a while when we are gone, where there is somebody
// who does.
func (r *runner) hold(conn compute.Conn, cmd *compute.Command) {
	// what needs no agent there goes without one
	if cmd.Hold != nil || r.typ == "ssh" && r.sending == nil {
		return
	}
	if _, ok := compute.As[compute.Holder](conn); ok && r.recorded() != "" {
		cmd.Hold = &compute.Hold{Run: r.id()}
	}
}

// whenLost adds to an error how to go on with a run that may go on.
func (r *runner) whenLost(cmd *compute.Command, err error) error {
	if cmd.Hold == nil || !errors.Is(err, compute.ErrLost) {
		return err
	}
	var e *compute.Error
	if r.Temporary || errors.As(err, &e) && compute.Hint(err) != "" || errors.Is(err, compute.ErrEnded) {
		return err
	}
	return &compute.Error{Kind: compute.ErrLost, Err: err, Hint: "it may go on for 30 s: hostler attach " + r.id()}
}

// checkDetach refuses what goes with a run only while somebody waits for it.
func (r *runner) checkDetach() error {
	o := r.Opt
	switch {
	case r.back.want.any() || o.scriptFile != "":
		return fault.Invalid("", "--detach does not wait, and so brings nothing back and has no --script")
	case len(r.Words) == 0 || o.tty || o.timeout.Given || o.stdin != "":
		return fault.Invalid("", "--detach wants a COMMAND, and takes no -t, --timeout or --stdin")
	}
	return nil
}

// detached starts the command and leaves it to itself, where somebody keeps it, and its record to a
// process of its own.
func (r *runner) detached(ctx context.Context, conn compute.Conn, cmd *compute.Command) error {
	if r.recorded() == "" {
		return &compute.Error{
			Kind: compute.ErrUnavailable,
			Err:  errors.New("--detach: the run cannot be recorded, so it could not be found again"),
			Hint: "hostler doctor",
		}
	}
	refused := func(err error) error {
		if errors.Is(err, compute.ErrInvalid) {
			return fault.Invalid("setsid, nohup and & are the computer's own means", "--detach: %s: %w", r.Instance.ID, err)
		}
		return err
	}
	if _, err := heldBy(ctx, conn); err != nil {
		return refused(err)
	}
	begun := make(chan struct{})
	// two, so that they are kept apart
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, io.Discard, struct{ io.Writer }{io.Discard}
	cmd.Hold = &compute.Hold{Run: r.id(), Keep: true, Begun: sync.OnceFunc(func() { close(begun) })}
	running, leave := context.WithCancelCause(ctx)
	var leaving sync.WaitGroup
	defer leaving.Wait()
	defer leave(nil)
	leaving.Go(func() {
		for _, c := range []<-chan struct{}{begun, r.treeSent()} {
			select {
			case <-c:
			case <-running.Done():
				return
			}
		}
		leave(errLeft)
	})
	run := r.runPlain
	if r.sending != nil {
		run = r.runSynced
	}
	_, err := run(running, conn, cmd)
	r.hasEnded(false)
	select {
	case <-begun:
	default:
		if err == nil {
			err = &compute.Error{Kind: compute.ErrLost, Err: errors.New("it ended without a word of its beginning")}
		}
		return refused(err)
	}
	return r.leaveRun()
}

// leaveRun gives the record of a run that goes on, and its lease where that is the run's own, to
// another process.
func (r *runner) leaveRun() error {
	r.noteLease()
	r.rec.Note(func(rec *runlog.Record) { rec.Phases, rec.GiveBack = r.phases, r.Temporary })
	log, err := runs()
	if err == nil {
		err = log.SetShown(r.id(), 0, 0)
	}
	r.rec.Leave()
	if r.rec.left = true; err == nil {
		err = startRecorder(r.App, r.id(), r.rec.hidden, true)
	}
	switch {
	case err != nil && r.Temporary:
		return &compute.Error{
			ID: r.Instance.ID, Kind: compute.ErrFailed,
			Err: fmt.Errorf("nobody could stay with the run, so it is ended: %w", err),
		}
	case err != nil:
		_ = term.Printf(r.App.Err, "%s: nobody records the run and says that its lease is used: %v\n", r.App.Program, err)
	}
	r.Temporary = false
	return term.Printf(r.App.Out, "%s\n", r.id())
}
