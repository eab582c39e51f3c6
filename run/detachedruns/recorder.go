package detachedruns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/exitstatus"
	"github.com/hostler-project/hostler/run/redact"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/run/session"
)

const (
	lostMost  = time.Hour // the other end does not remember an ended run for longer
	lostPause = time.Second
	pauseMost = 30 * time.Second
)

// startFunc starts a process that records a run. known says that hide has every value to leave out.
type startFunc func(run string, hide []string, known bool) error

// StartRecorders starts recorders for held runs that no process is recording.
func StartRecorders(log *runlog.Log, follow startFunc, all ...runlog.Record) {
	for _, rec := range all {
		if rec.State == runlog.Held && !log.Recorded(rec.ID) {
			// on failure the next command tries it
			_ = follow(rec.ID, nil, len(rec.Secrets) == 0)
		}
	}
}

// RecordOptions say which run to record.
type RecordOptions struct {
	Log     *runlog.Log
	Run     string   // its id
	Hide    []string // values to leave out of the record
	Known   bool     // Hide has all of these values
	Printer session.Printer
}

// Record records a run until the run or ctx ends. Meanwhile it keeps the run's lease in use. At the
// end it releases the lease if that was acquired for the run.
func Record(ctx context.Context, b session.Backend, o RecordOptions) error {
	log := o.Log
	run, err := log.Resume(o.Run)
	if errors.Is(err, compute.ErrConflict) {
		return nil // another recorder has the run
	}
	if err != nil {
		return err
	}
	rec := run.Record()
	if _, _, ok := log.Shown(o.Run); !ok { // its client was killed, and had shown what it recorded
		out, _ := log.Tail(o.Run, "stdout", 0)
		errs, _ := log.Tail(o.Run, "stderr", 0)
		_ = log.SetShown(o.Run, out, errs)
	}
	k := &recorder{session: &session.Session{Backend: b, Printer: o.Printer, Temporary: rec.GiveBack}, rec: rec}
	k.session.Lease.ID, k.session.Instance.ID = rec.Lease, compute.ID(rec.Instance)
	streams := []*runlog.Stream{run.Stream("stdout"), run.Stream("stderr")}
	for i, s := range streams {
		k.had[i], k.out[i] = s.Bytes(), s
		switch {
		case len(rec.Secrets) > 0 && !o.Known:
			k.out[i] = io.Discard // it may contain a secret
		case len(o.Hide) > 0:
			w := redact.NewWriter(s, o.Hide)
			defer w.Close()
			k.out[i] = w
		}
	}
	exit, err := k.follow(ctx)
	if ctx.Err() != nil {
		run.Leave()
		return nil
	}
	run.End(func(rec *runlog.Record) {
		rec.Bytes.Stdout, rec.Bytes.Stderr = streams[0].Bytes(), streams[1].Bytes()
		rec.Phases.Command = time.Since(k.rec.Started).Seconds()
		n := exit.Status()
		rec.Exit, rec.Signal, rec.Reason = &n, exit.Signal, exit.Reason
		if err != nil {
			rec.Kind, rec.Error = exitstatus.KindName(err), api.Text(err)
		}
		if errors.Is(err, compute.ErrLost) {
			rec.State, rec.Exit = runlog.Lost, nil
		}
	})
	if k.session.Engine != nil {
		k.session.ReleaseTemporary(ctx)
	}
	return nil
}

// recorder records one held run.
type recorder struct {
	session *session.Session
	rec     runlog.Record
	out     [2]io.Writer
	had     [2]int64
}

// follow follows the run until it ends. ErrLost says that its end can never be known.
func (k *recorder) follow(ctx context.Context) (exit compute.Exit, err error) {
	pause, since := lostPause, time.Time{}
	for {
		var met bool
		exit, met, err = k.connectOnce(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			return exit, err
		case errors.Is(err, compute.ErrEnded):
			return exit, session.LostContact(compute.ID(k.rec.Instance), err, nil)
		case errors.Is(err, session.ErrLeaseEnded):
			return compute.Exit{Signal: "KILL"}, &compute.Error{Kind: compute.ErrNotLeased, Err: errors.New(leaseOver)}
		case errors.Is(err, compute.ErrNotFound):
			return exit, &compute.Error{Kind: compute.ErrLost, Err: errors.New("it is not held on " + k.rec.Instance + " any more")}
		case met:
			pause, since = lostPause, time.Time{}
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) > lostMost {
			return exit, &compute.Error{Kind: compute.ErrLost, Err: err}
		}
		select {
		case <-ctx.Done():
			return exit, ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, pauseMost)
	}
}

// connectOnce follows the run over one connection. met says that there was contact.
func (k *recorder) connectOnce(ctx context.Context) (exit compute.Exit, met bool, err error) {
	s := k.session
	if s.Engine == nil {
		if s.Engine, err = s.Backend.Open(ctx, ""); err != nil {
			return exit, false, err
		}
	}
	s.Who = s.Backend.Who(ctx, k.rec.Instance)
	s.Who.Lease = k.rec.Lease
	lease, err := s.Engine.Use(ctx, s.Who, compute.ID(k.rec.Instance))
	if errors.Is(err, compute.ErrConflict) || errors.Is(err, compute.ErrNotFound) || errors.Is(err, compute.ErrDenied) {
		return exit, false, fmt.Errorf("%w: %w", session.ErrLeaseEnded, err)
	}
	if err != nil {
		return exit, false, err
	}
	s.Lease, s.Instance = lease, compute.Instance{ID: lease.Instance, Source: lease.Source}
	conn, _, err := s.Connect(ctx)
	if err != nil {
		if errors.Is(err, compute.ErrNotFound) {
			// the instance is gone; the end of the lease tells more
			err = &compute.Error{Kind: compute.ErrUnavailable, Err: err}
		}
		return exit, false, err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { s.Watch(ctx, cancel) })
	defer watching.Wait()
	defer cancel(nil)
	cmd := &compute.Command{Stdout: countWriter{k.out[0], &k.had[0]}, Stderr: countWriter{k.out[1], &k.had[1]},
		Hold: &compute.Hold{Run: k.rec.ID, Attach: true, Look: true, Out: k.had[0], Err: k.had[1]}}
	exit, err = conn.Run(ctx, cmd)
	return exit, true, endOf(ctx, s, err)
}

// endOf returns why contact to a run was lost. The end of its lease counts more than the
// connection's error, unless the lease ended because the computer had died.
func endOf(ctx context.Context, s *session.Session, err error) error {
	cause := context.Cause(ctx)
	if cause == nil {
		return s.PreferLeaseEnd(ctx, err)
	}
	if err == nil || !errors.Is(cause, session.ErrLeaseEnded) || errors.Is(err, compute.ErrEnded) && errors.Is(cause, compute.ErrEnded) {
		return err
	}
	return cause
}

// countWriter counts the bytes that are written through it.
type countWriter struct {
	w io.Writer
	n *int64
}

func (c countWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	*c.n += int64(n)
	return n, err
}
