package held

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/redact"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/run/session"
	"github.com/hostler-project/hostler/run/status"
)

const (
	lostMost  = time.Hour // without contact: how a run ended is not known for longer over there
	lostPause = time.Second
	pauseMost = 30 * time.Second
)

// startFunc starts a process that records a run. known: hide is all that is not to be recorded.
type startFunc func(run string, hide []string, known bool) error

// Tend starts the recorders of runs that go on, or have ended, without a process that records them.
func Tend(log *runlog.Log, follow startFunc, all ...runlog.Record) {
	for _, rec := range all {
		if rec.State == runlog.Held && !log.Recorded(rec.ID) {
			// else the next command tries it
			_ = follow(rec.ID, nil, len(rec.Secrets) == 0)
		}
	}
}

// RecordOptions are what a recorder is told.
type RecordOptions struct {
	Log     *runlog.Log
	Run     string   // its id
	Hide    []string // values that are not recorded
	Known   bool     // Hide is all of them
	Printer session.Printer
}

// Record records a run until it has ended or the context has. It says meanwhile that the run's
// lease is used, and gives that back where it was acquired for the run.
func Record(ctx context.Context, b session.Backend, o RecordOptions) error {
	log := o.Log
	run, err := log.Resume(o.Run)
	if errors.Is(err, compute.ErrConflict) {
		return nil // another recorder does it
	}
	if err != nil {
		return err
	}
	rec := run.Record()
	if _, _, ok := log.Shown(o.Run); !ok { // its client was killed: it had shown what it recorded
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
			k.out[i] = io.Discard // a secret might be among it
		case len(o.Hide) > 0:
			w := redact.NewWriter(s, o.Hide)
			defer w.Close()
			k.out[i] = w
		}
	}
	exit, err := k.stay(ctx)
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
			rec.Kind, rec.Error = status.KindName(err), api.Text(err)
		}
		if errors.Is(err, compute.ErrLost) {
			rec.State, rec.Exit = runlog.Lost, nil
		}
	})
	if k.session.Engine != nil {
		k.session.GiveBack(ctx)
	}
	return nil
}

// recorder is at a run that is held.
type recorder struct {
	session *session.Session
	rec     runlog.Record
	out     [2]io.Writer
	had     [2]int64
}

// stay is with the run until it has ended. The error is of kind ErrLost where nobody will ever know
// how it ended.
func (k *recorder) stay(ctx context.Context) (exit compute.Exit, err error) {
	pause, since := lostPause, time.Time{}
	for {
		var met bool
		exit, met, err = k.once(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			return exit, err
		case errors.Is(err, compute.ErrEnded):
			return exit, session.LostWhile(compute.ID(k.rec.Instance), err, nil)
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

// once is stay until contact is lost. met: there was some.
func (k *recorder) once(ctx context.Context) (exit compute.Exit, met bool, err error) {
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
			// the instance; of that the lease's end tells
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
	cmd := &compute.Command{Stdout: tally{k.out[0], &k.had[0]}, Stderr: tally{k.out[1], &k.had[1]},
		Hold: &compute.Hold{Run: k.rec.ID, Attach: true, Look: true, Out: k.had[0], Err: k.had[1]}}
	exit, err = conn.Run(ctx, cmd)
	return exit, true, endOf(ctx, s, err)
}

// endOf is why contact to a run was lost, by what the connection said: where its lease has ended it
// is that, unless that was for its computer's end.
func endOf(ctx context.Context, s *session.Session, err error) error {
	cause := context.Cause(ctx)
	if cause == nil {
		return s.WhatEnded(ctx, err)
	}
	if err == nil || !errors.Is(cause, session.ErrLeaseEnded) || errors.Is(err, compute.ErrEnded) && errors.Is(cause, compute.ErrEnded) {
		return err
	}
	return cause
}

// tally counts what goes through it.
type tally struct {
	w io.Writer
	n *int64
}

func (c tally) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	*c.n += int64(n)
	return n, err
}
