package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/run/detachedruns"
	"github.com/hostler-project/hostler/run/runlog"
)

// detached starts the command and leaves it running, if the other side can keep it. Another process
// records it.
func (r *Runner) detached(ctx context.Context, conn compute.Conn, cmd *compute.Command) error {
	if !r.recorded() {
		return &compute.Error{
			Kind: compute.ErrUnavailable,
			Err:  errors.New("--detach: the run cannot be recorded, so it could not be found again"),
			Hint: "hostler doctor",
		}
	}
	refused := func(err error) error {
		if errors.Is(err, compute.ErrInvalid) {
			return fault.Invalid("setsid, nohup and & are the computer's own means", "--detach: %s: %w", r.Session.Instance.ID, err)
		}
		return err
	}
	if _, err := detachedruns.List(ctx, conn); err != nil {
		return refused(err)
	}
	begun := make(chan struct{})
	// two writers, so that the streams are kept apart
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
		leave(detachedruns.ErrLeft)
	})
	_, err := r.runCommand(running, conn, cmd)
	r.commandEnded(false)
	select {
	case <-begun:
	default:
		if err == nil {
			err = &compute.Error{Kind: compute.ErrLost, Err: errors.New("it ended without a word of its beginning")}
		}
		return refused(err)
	}
	return r.leave()
}

// leave hands the record of a running command to another process, with its lease if that is the
// run's own.
func (r *Runner) leave() error {
	s := r.Session
	r.noteLease()
	r.rec.Note(func(rec *runlog.Record) { rec.Phases, rec.GiveBack = r.phases, s.Temporary })
	err := r.Record.Log.SetShown(r.id(), 0, 0)
	r.rec.Leave()
	if r.rec.left = true; err == nil {
		err = r.Record.Follow(r.id(), r.rec.hide, true)
	}
	switch {
	case err != nil && s.Temporary:
		return &compute.Error{
			ID: s.Instance.ID, Kind: compute.ErrFailed,
			Err: fmt.Errorf("nobody could stay with the run, so it is ended: %w", err),
		}
	case err != nil:
		r.Printer.Warn("nobody records the run and says that its lease is used: %v", err)
	}
	s.Temporary = false
	_, err = fmt.Fprintln(r.Stdout, r.id())
	return err
}
