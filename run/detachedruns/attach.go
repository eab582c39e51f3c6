package detachedruns

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

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/exitstatus"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/run/session"
)

// ErrLeft is the cause when the user leaves a run that goes on.
var ErrLeft = &compute.Error{Kind: compute.ErrLost, Err: errors.New("left")}

// leaseOver explains the end of a run that only its lease's end has ended.
const leaseOver = "its lease has ended, and the run with it"

// AttachOptions say how to attach to a run.
type AttachOptions struct {
	Look bool // send no input and no signals to the command
	Take bool // take over the input from another client
	All  bool // print all recorded output, not only the new part

	Log            *runlog.Log
	Follow         startFunc
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Typed says that Stdin is a terminal. Terminal gives it to the command as in run.Options; nil:
	// no terminal.
	Typed    bool
	Terminal func(cmd *compute.Command) (restore func(), err error)
}

// Attach attaches to a run until the run ends or the user leaves it.
func Attach(ctx context.Context, s *session.Session, o AttachOptions, rec runlog.Record) error {
	if rec.Lease == "" {
		return notDetached(rec, "it has no lease")
	}
	if _, _, outlived := o.Log.Shown(rec.ID); outlived && rec.State == runlog.Ended {
		return replay(&o, s.Printer, rec)
	}
	var err error
	if s.Engine, err = s.Backend.Open(ctx, ""); err != nil {
		return err
	}
	s.Who = s.Backend.Who(ctx, rec.Instance)
	s.Who.Lease = rec.Lease
	if s.Lease, err = s.Engine.Use(ctx, s.Who, compute.ID(rec.Instance)); err != nil {
		if errors.Is(err, compute.ErrConflict) || errors.Is(err, compute.ErrNotFound) {
			return notDetached(rec, leaseOver)
		}
		return err
	}
	s.Instance = compute.Instance{ID: s.Lease.Instance, Source: s.Lease.Source}
	conn, _, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	all, err := List(ctx, conn)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(h provider.HeldRun) bool { return h.Run == rec.ID })
	if i < 0 {
		return notDetached(rec, "it is not held on "+rec.Instance)
	}
	if rec.State != runlog.Ended && !o.Log.Recorded(rec.ID) {
		_ = o.Follow(rec.ID, nil, len(rec.Secrets) == 0) // on failure the next command tries it
	}
	out, errs := countWriter{o.Stdout, new(int64)}, countWriter{o.Stderr, new(int64)}
	cmd := &compute.Command{
		Stdout: out, Stderr: errs,
		Hold: &compute.Hold{Run: rec.ID, Attach: true, Look: o.Look, Take: o.Take, Out: -1, Err: -1},
	}
	if !o.Look && len(rec.Secrets) == 0 { // masked secrets change the length of the record
		if err := catchUp(o.Log, rec.ID, o.All, out, errs); err != nil {
			return err
		}
		cmd.Hold.Out, cmd.Hold.Err = *out.n, *errs.n
		defer func() { _ = o.Log.SetShown(rec.ID, *out.n, *errs.n) }()
	}
	return follow(ctx, s, &o, conn, cmd, all[i])
}

// catchUp prints the recorded output that the user has not seen yet, or all of it. It counts in the
// tallies how far that is.
func catchUp(log *runlog.Log, id string, all bool, out, errs countWriter) error {
	from, fromErr, ok := log.Shown(id)
	if !ok { // everything recorded was also shown
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

// replay is Attach for a run whose end is recorded.
func replay(o *AttachOptions, p session.Printer, rec runlog.Record) error {
	out, errs := countWriter{o.Stdout, new(int64)}, countWriter{o.Stderr, new(int64)}
	if err := catchUp(o.Log, rec.ID, o.All || o.Look, out, errs); err != nil {
		return err
	}
	if !o.Look {
		_ = o.Log.SetShown(rec.ID, *out.n, *errs.n)
	}
	if rec.Error != "" || rec.Exit == nil {
		return notDetached(rec, rec.Error)
	}
	if rec.Reason != "" {
		p.Warn("%s: the command was killed: %s", rec.Instance, rec.Reason)
	}
	if *rec.Exit != 0 {
		return exitstatus.Exit(*rec.Exit)
	}
	return nil
}

// notDetached is the error for a run that cannot be attached to.
func notDetached(rec runlog.Record, why string) error {
	return &compute.Error{ID: compute.ID(rec.ID), Kind: compute.ErrNotFound, Err: errors.New(why), Hint: "hostler logs " + rec.ID}
}

// List lists the held runs at the other end of a connection. The error says why nothing can be held
// there.
func List(ctx context.Context, conn compute.Conn) ([]provider.HeldRun, error) {
	h, ok := provider.As[provider.DetachedRuns](conn)
	if !ok {
		return nil, &compute.Error{Kind: compute.ErrInvalid, Err: errNobody}
	}
	all, err := h.Held(ctx)
	if errors.Is(err, compute.ErrInvalid) {
		err = &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("%w (%s)", errNobody, api.Text(err))}
	}
	return all, err
}

var errNobody = errors.New(
	"nobody there keeps a command when its caller has gone: that takes hostler's own agent, which the types local, chroot and fake have not",
)

// follow follows a run until it ends or the user leaves it.
func follow(
	ctx context.Context, s *session.Session, o *AttachOptions, conn compute.Conn, cmd *compute.Command, of provider.HeldRun,
) (err error) {
	restore, signals := func() {}, make(chan string, 8)
	if !o.Look {
		cmd.Signals = signals
		if of.Stdin || of.TTY {
			cmd.Stdin = o.Stdin
			if o.Typed {
				cmd.Stdin = struct{ io.Reader }{o.Stdin}
			}
		}
		if of.TTY && o.Terminal != nil {
			if restore, err = o.Terminal(cmd); err != nil {
				return err
			}
		}
	}
	defer restore()
	ctx, cancel := context.WithCancelCause(ctx)
	var loops sync.WaitGroup
	defer loops.Wait()
	defer cancel(nil)
	ended := context.AfterFunc(ctx, restore) // later messages go to a restored terminal
	defer ended()
	loops.Go(func() { s.Watch(ctx, cancel) })
	got := make(chan os.Signal, 8)
	signal.Notify(got, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE)
	defer signal.Stop(got)
	var by string
	loops.Go(func() { by = passOn(ctx, cancel, got, signals, o.Look) })
	exit, _, err := session.Abandonable(ctx, func() (compute.Exit, error) { return conn.Run(ctx, cmd) })
	cause := context.Cause(ctx)
	if cause == nil && errors.Is(err, compute.ErrLost) {
		cause = s.LeaseEnd(ctx)
	}
	cancel(nil)
	loops.Wait()
	return attachError(s.Instance.ID, s.Printer, of, exit, err, cause, by)
}

// attachError returns the result of attaching. by is the signal that ended something, or "".
func attachError(id compute.ID, p session.Printer, of provider.HeldRun, exit compute.Exit, err, cause error, by string) error {
	switch {
	case err == nil:
		if exit.Reason != "" {
			p.Warn("%s: the command was killed: %s", id, exit.Reason)
		}
		if n := exit.Status(); n != 0 {
			return exitstatus.Exit(n)
		}
		return nil
	case session.InstanceDied(err, cause):
		return session.LostContact(id, err, cause)
	case session.LeaseEnded(err, cause):
		p.Warn("%s: the lease has ended, and the command with it", id)
		return exitstatus.Exit(128 + compute.SignalNumber("KILL"))
	case cause == error(ErrLeft):
		left := "it goes on"
		if !of.Keep && of.Watchers == 0 {
			left = "it ends in 30 s, unless somebody attaches"
		}
		return &exitstatus.Interruption{Signal: by, Became: left}
	case by != "" && errors.Is(err, context.Canceled):
		return exitstatus.Exit(128 + compute.SignalNumber("KILL"))
	case errors.Is(err, compute.ErrConflict):
		return &compute.Error{
			ID: compute.ID(of.Run), Kind: compute.ErrConflict,
			Err: errors.New("somebody else is there and may type"), Hint: "--look only looks; --take takes it over",
		}
	}
	return err
}

// passOn sends signals to the command, or leaves the run, until ctx ends. It returns the last
// signal that ended something.
func passOn(ctx context.Context, cancel context.CancelCauseFunc, got <-chan os.Signal, signals chan<- string, look bool) (by string) {
	ints := 0
	for {
		select {
		case <-ctx.Done():
			return by
		case s := <-got:
			name := exitstatus.Signals[s]
			switch {
			case name == "": // PIPE: the reader has gone, and writing fails
				continue
			case name == "TERM" || name == "HUP" || look && name == "INT":
				by = name
				cancel(ErrLeft)
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
			default: // the command takes no more signals
			}
		}
	}
}
