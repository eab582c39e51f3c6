package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/local"
	"github.com/hostler-project/hostler/runlog"
)

// attachOptions are attach's.
type attachOptions struct {
	look, take, all bool
}

func newAttach(a *app) *cobra.Command {
	var o attachOptions
	cmd := &cobra.Command{
		Use:   "attach RUN",
		Short: "Go on with a run whose caller has gone, or look at one",
		Long: `A run whose client was killed, or lost its network, goes on for 30 seconds; one that was started with --detach until it ends. This goes on with it: with its output
from where that was, with input, signals, the terminal's size and the exit status. What it wrote and nobody kept is counted in a line of the output.

Only one may type; others --look. TERM and HUP end attach alone, and Ctrl-C is the command's, as in hostler run; with --look it ends attach. How a run ended is
known there for an hour. docs/attach.md has more.`,
		Example:           "  hostler attach last\n  hostler attach last --look",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeRuns,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.attach(cmd.Context(), &o, args[0]) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.look, "look", false, "only look: input and signals are not the command's")
	f.BoolVar(&o.take, "take", false, "take it over from who may type now")
	f.BoolVar(&o.all, "all", false, "print all output that is kept there, not only what was not printed yet")
	return cmd
}

var errLeft = &compute.Error{Kind: compute.ErrLost, Err: errors.New("left")}

// attach goes on with a run.
func (a *app) attach(ctx context.Context, o *attachOptions, name string) error {
	rec, err := findRun(name)
	if err != nil {
		return err
	}
	if rec.Lease == "" {
		return notHeld(rec, "it has no lease")
	}
	engine, err := a.engine(ctx)
	if err != nil {
		return err
	}
	c := &claim{app: a, engine: engine, who: a.who(ctx, engine, rec.Instance)}
	c.who.Lease = rec.Lease
	if c.lease, err = engine.Use(ctx, c.who, compute.ID(rec.Instance)); err != nil {
		if errors.Is(err, compute.ErrConflict) || errors.Is(err, compute.ErrNotFound) {
			return notHeld(rec, "its lease has ended, and the run with it")
		}
		return err
	}
	c.instance = compute.Instance{ID: c.lease.Instance, Source: c.lease.Source}
	conn, _, err := c.connect(ctx)
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
	cmd := &compute.Command{Stdout: a.out, Stderr: a.errs, Hold: &compute.Hold{Run: rec.ID, Attach: true, Look: o.look, Take: o.take, Out: -1, Err: -1}}
	if log, err := runs(); err == nil && !o.all && !o.look && len(rec.Secrets) == 0 { // a secret has another length in the record
		if n, err := log.Tail(rec.ID, "stdout", 0); err == nil {
			cmd.Hold.Out = n
		}
		if n, err := log.Tail(rec.ID, "stderr", 0); err == nil {
			cmd.Hold.Err = n
		}
	}
	return c.attached(ctx, conn, cmd, all[i])
}

// notHeld is the error for a run that cannot be gone on with.
func notHeld(rec runlog.Record, why string) error {
	return &compute.Error{ID: compute.ID(rec.ID), Kind: compute.ErrNotFound, Err: errors.New(why), Hint: "hostler logs " + rec.ID}
}

// heldBy lists what is held behind a connection. The error says why nobody would hold anything there.
func heldBy(ctx context.Context, conn compute.Conn) ([]compute.HeldRun, error) {
	h, ok := compute.As[compute.Holder](conn)
	if !ok {
		return nil, &compute.Error{Kind: compute.ErrInvalid, Err: errNobody}
	}
	all, err := h.Held(ctx)
	if errors.Is(err, compute.ErrInvalid) {
		err = &compute.Error{Kind: compute.ErrInvalid, Err: errNobody}
	}
	return all, err
}

var errNobody = errors.New("nobody there keeps a command when its caller has gone: that takes hostler's own agent, as in sandboxes and virtual machines")

// attached is with a run until it has ended, or we leave.
func (c *claim) attached(ctx context.Context, conn compute.Conn, cmd *compute.Command, of compute.HeldRun) (err error) {
	a, look := c.app, cmd.Hold.Look
	restore := func() {}
	signals := make(chan string, 8)
	if !look {
		cmd.Signals = signals
		if of.Stdin || of.TTY {
			cmd.Stdin = a.in
			if isTerminal(a.in) {
				cmd.Stdin = struct{ io.Reader }{a.in}
			}
		}
		if of.TTY && isTerminal(a.in) && isTerminal(a.out) {
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
	loops.Go(func() { c.watch(ctx, cancel) })
	got := make(chan os.Signal, 8)
	signal.Notify(got, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE)
	defer signal.Stop(got)
	var by string
	loops.Go(func() { by = passOn(ctx, cancel, got, signals, look) })
	exit, err := conn.Run(ctx, cmd)
	cause := context.Cause(ctx)
	cancel(nil)
	loops.Wait()
	switch {
	case err == nil:
		if exit.Reason != "" {
			_ = fprintf(a.errs, "%s: %s: the command was killed: %s\n", a.program, c.instance.ID, exit.Reason)
		}
		if n := exit.Status(); n != 0 {
			return status(n)
		}
		return nil
	case errors.Is(cause, errLeaseEnded):
		_ = fprintf(a.errs, "%s: %s: the lease has ended, and the command with it\n", a.program, c.instance.ID)
		return status(128 + compute.SignalNumber("KILL"))
	case cause == error(errLeft):
		left := "it goes on"
		if !of.Keep && of.Watchers == 0 {
			left = "it ends in 30 s, unless somebody attaches"
		}
		return &errInterrupted{by, left}
	case by != "" && errors.Is(err, context.Canceled):
		return status(128 + compute.SignalNumber("KILL"))
	case errors.Is(err, compute.ErrConflict):
		return &compute.Error{ID: compute.ID(cmd.Hold.Run), Kind: compute.ErrConflict, Err: errors.New("somebody else is there and may type"), Hint: "--look only looks; --take takes it over"}
	}
	return err
}

// passOn hands signals to the command, or has us leave, until ctx ends. It returns the last that ended something.
func passOn(ctx context.Context, cancel context.CancelCauseFunc, got <-chan os.Signal, signals chan<- string, look bool) (by string) {
	ints := 0
	for {
		select {
		case <-ctx.Done():
			return by
		case s := <-got:
			name := passedOn[s]
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

// hold has the other side keep the command for a while when we are gone, where there is somebody who does.
func (r *runner) hold(conn compute.Conn, cmd *compute.Command) {
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
	if r.temporary || errors.As(err, &e) && compute.Hint(err) != "" {
		return err
	}
	return &compute.Error{Kind: compute.ErrLost, Err: err, Hint: "it may go on for 30 s: hostler attach " + r.id()}
}

// checkDetach refuses what goes with a run only while somebody waits for it.
func (r *runner) checkDetach() error {
	o := r.opt
	switch {
	case r.back.want.any() || o.scriptFile != "":
		return invalid("", "--detach does not wait, and so brings nothing back and has no --script")
	case o.tree.sync != "":
		return invalid("", "--detach takes no --sync")
	case len(r.words) == 0 || o.tty || o.timeout.set || o.stdin != "":
		return invalid("", "--detach wants a COMMAND, and takes no -t, --timeout or --stdin")
	}
	return nil
}

// detached starts the command and leaves it to itself, where somebody keeps it.
func (r *runner) detached(ctx context.Context, conn compute.Conn, cmd *compute.Command) error {
	if r.sending != nil {
		return invalid("send the tree by a run before it: --sync -- true", "--detach and --sync: not both at once")
	}
	if r.recorded() == "" {
		return &compute.Error{Kind: compute.ErrUnavailable, Err: errors.New("--detach: the run cannot be recorded, so it could not be found again"), Hint: "hostler doctor"}
	}
	if _, err := heldBy(ctx, conn); err != nil {
		if errors.Is(err, compute.ErrInvalid) {
			return invalid("setsid, nohup and & are the computer's own means", "--detach: %s: %w", r.instance.ID, errNobody)
		}
		return err
	}
	running, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	begun := make(chan struct{})
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, io.Discard, struct{ io.Writer }{io.Discard} // two, so that they are kept apart
	cmd.Hold = &compute.Hold{Run: r.id(), Keep: true, Begun: sync.OnceFunc(func() {
		close(begun)
		leave(errLeft)
	})}
	r.recordCommand(cmd.Env)
	r.begun = time.Now()
	_, err := conn.Run(running, cmd)
	r.ended = time.Now()
	select {
	case <-begun:
	default:
		if err == nil {
			err = &compute.Error{Kind: compute.ErrLost, Err: errors.New("it ended without a word of its beginning")}
		}
		return err
	}
	if err := r.stand(); err != nil {
		_ = fprintf(r.app.errs, "%s: nobody says that its lease is used while it runs: %v\n", r.app.program, err)
	}
	return fprintf(r.app.out, "%s\n", r.id())
}

// stand starts a process that looks at the run as long as that lives, and so uses its lease.
func (r *runner) stand() error {
	words, err := r.app.ownWords()
	if err != nil {
		return err
	}
	cmd := exec.Command(words[0], slices.Concat(words[1:], []string{"attach", "--look", r.id()})...)
	cmd.Env = slices.DeleteFunc(local.Unmarked(os.Environ()), func(kv string) bool { // it is part of no run
		name, _, _ := strings.Cut(kv, "=")
		return name == "HOSTLER_LEASE" || name == "HOSTLER_INSTANCE" || name == "HOSTLER_RUN"
	})
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}
