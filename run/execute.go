package run

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/exitstatus"
	"github.com/hostler-project/hostler/observe/trace"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/run/session"
)

// execute runs the command, and watches its time limit and its lease.
func (r *Runner) execute(ctx context.Context, conn compute.Conn, cmd *compute.Command, restore func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := r.Session
	var watching sync.WaitGroup
	watching.Go(func() { s.Watch(ctx, cancel) })
	defer watching.Wait()
	defer cancel(nil)
	free, err := s.Slot(ctx, r.way, conn)
	if err != nil {
		return err
	}
	defer free()
	if r.Detach {
		return r.detached(ctx, conn, cmd)
	}
	if r.Timeout > 0 {
		limit, stop := context.WithTimeout(context.Background(), r.Timeout)
		defer stop()
		defer context.AfterFunc(limit, func() { cancel(errTimeout) })()
	}
	running, span := trace.Start(ctx, "run", trace.Attr{Key: "hostler.instance", Value: string(s.Instance.ID)})
	exit, left, err := session.Abandonable(running, func() (compute.Exit, error) { return r.runCommand(running, conn, cmd) })
	span.Set(trace.Attr{Key: "process.exit.code", Value: exit.Status()})
	span.End(err)
	r.commandEnded(left)
	cause := context.Cause(ctx)
	if cause == nil && errors.Is(err, compute.ErrLost) {
		cause = s.LeaseEnd(ctx)
	}
	return r.outcome(exit, err, cause, cmd, restore)
}

// runCommand runs the command, in a copy of the tree if one goes along.
func (r *Runner) runCommand(ctx context.Context, conn compute.Conn, cmd *compute.Command) (compute.Exit, error) {
	r.hold(conn, cmd)
	if r.Tree != nil {
		return r.runInCopy(ctx, conn, cmd)
	}
	if err := r.commandBegins(cmd); err != nil {
		return compute.Exit{}, err
	}
	return conn.Run(ctx, cmd)
}

// commandBegins records that the command starts now. On an error the command must not start.
func (r *Runner) commandBegins(cmd *compute.Command) error {
	if err := r.recordCommand(cmd.Env); err != nil {
		return err
	}
	r.result.Begun = time.Now()
	r.Interrupts.setRunning(true)
	return nil
}

// commandEnded notes that the command has ended. left means that its last output may still be on
// its way.
func (r *Runner) commandEnded(left bool) {
	r.result.Ended = time.Now()
	if !r.result.Begun.IsZero() {
		r.phases.Command = r.result.Ended.Sub(r.result.Begun).Seconds()
	}
	r.Interrupts.setRunning(false)
	if !left {
		r.rec.endOutputs()
	}
}

// outcome returns how the run ends, by the end of the command. cause is why our context ended; nil
// if it did not.
func (r *Runner) outcome(exit compute.Exit, err, cause error, cmd *compute.Command, restore func()) error {
	id := r.Session.Instance.ID
	tell := func(format string, args ...any) {
		restore()
		r.Printer.Warn("%s: %s", id, fmt.Sprintf(format, args...))
	}
	switch {
	case err != nil && errors.Is(cause, errTimeout):
		tell("the command was killed after --timeout %s", r.Timeout)
		return exitstatus.Exit(exitstatus.Timeout)
	case err != nil && session.InstanceDied(err, cause):
		return session.LostContact(id, err, cause)
	case err != nil && session.LeaseEnded(err, cause):
		tell("the lease has ended, and the command with it")
		return exitstatus.Exit(128 + compute.SignalNumber("KILL"))
	case errors.Is(err, compute.ErrLost):
		return r.attachHint(cmd, session.LostContact(id, err, nil))
	case err != nil:
		return fmt.Errorf("%w", err)
	}
	r.result.Exit = &exit
	if exit.Reason != "" {
		tell("the command was killed: %s", exit.Reason)
	}
	n := exit.Status()
	for _, w := range r.outputs {
		if err := w.writeError(); err != nil {
			restore()
			r.Printer.Tell(err)
			n = max(n, 1)
		}
	}
	if n != 0 {
		return exitstatus.Exit(n)
	}
	return nil
}

// hold asks the other side, if it can, to keep the command for a while if this process ends.
func (r *Runner) hold(conn compute.Conn, cmd *compute.Command) {
	// a command that needs no agent there goes without one
	if cmd.Hold != nil || r.way.Thin && r.Tree == nil {
		return
	}
	if _, ok := provider.As[provider.DetachedRuns](conn); ok && r.recorded() {
		cmd.Hold = &compute.Hold{Run: r.id()}
	}
}

// attachHint adds a hint to an error of a run that may go on: how to attach to it.
func (r *Runner) attachHint(cmd *compute.Command, err error) error {
	if cmd.Hold == nil || !errors.Is(err, compute.ErrLost) {
		return err
	}
	var e *compute.Error
	if r.Session.Temporary || errors.As(err, &e) && compute.Hint(err) != "" || errors.Is(err, compute.ErrEnded) {
		return err
	}
	return &compute.Error{Kind: compute.ErrLost, Err: err, Hint: "it may go on for 30 s: hostler attach " + r.id()}
}
