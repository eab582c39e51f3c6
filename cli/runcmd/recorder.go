package runcmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/local"
	"github.com/hostler-project/hostler/run/redact"
	"github.com/hostler-project/hostler/run/runlog"
)

const (
	lostMost  = time.Hour // without contact: how a run ended is not known for longer over there
	lostPause = time.Second
	pauseMost = 30 * time.Second
)

// recorderNews is what a recorder is told on its standard input, as it is nobody else's business.
type recorderNews struct {
	Hide []string `json:"hide"` // values that are not recorded
}

// NewRecorder is the process that stays with a run that outlives its client: it records what that
// writes and how it ends, says meanwhile that its lease is used, and gives that back where it was
// acquired for the run. One that is killed is started again by the next command that asks about the
// run.
func NewRecorder(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "recorder RUN", Short: "Record a run that goes on without its client", Example: "  hostler recorder last",
		Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var news recorderNews
			known := json.NewDecoder(io.LimitReader(a.In, 16<<20)).Decode(&news) == nil
			return recordHeld(a, cmd.Context(), args[0], news.Hide, known)
		},
	}
}

// startRecorder starts one. known: hide is all that is not to be recorded.
func startRecorder(a *cli.App, run string, hide []string, known bool) error {
	words, err := ownWords(a)
	if err != nil {
		return err
	}
	cmd := exec.Command(words[0], slices.Concat(words[1:], []string{"recorder", run})...)
	// it is part of no run
	cmd.Env = slices.DeleteFunc(local.Unmarked(os.Environ()), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "HOSTLER_LEASE" || name == "HOSTLER_INSTANCE" || name == "HOSTLER_RUN"
	})
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var in io.WriteCloser
	if known {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		defer r.Close()
		cmd.Stdin, in = r, w
	}
	if err = cmd.Start(); err == nil {
		_ = cmd.Process.Release()
	}
	if in != nil {
		err = errors.Join(err, json.NewEncoder(in).Encode(recorderNews{Hide: hide}), in.Close())
	}
	return err
}

// tendHeld starts the recorders of runs that go on, or have ended, without anybody who records it.
func tendHeld(a *cli.App, all []runlog.Record) {
	log, err := runs()
	if err != nil {
		return
	}
	for _, rec := range all {
		if rec.State == runlog.Held && !log.Recorded(rec.ID) {
			// else the next command tries it
			_ = startRecorder(a, rec.ID, nil, len(rec.Secrets) == 0)
		}
	}
}

// recordHeld is the recorder, until the run has ended.
func recordHeld(a *cli.App, ctx context.Context, id string, hide []string, known bool) error {
	log, err := runs()
	if err != nil {
		return err
	}
	run, err := log.Resume(id)
	if errors.Is(err, compute.ErrConflict) {
		return nil // that one does it
	}
	if err != nil {
		return err
	}
	rec := run.Record()
	if _, _, ok := log.Shown(id); !ok { // its client was killed: it had shown what it recorded
		out, _ := log.Tail(id, "stdout", 0)
		errs, _ := log.Tail(id, "stderr", 0)
		_ = log.SetShown(id, out, errs)
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	k := &recorder{Claim: &leasecmd.Claim{App: a, Temporary: rec.GiveBack}, run: run, rec: rec}
	k.Lease.ID, k.Instance.ID = rec.Lease, compute.ID(rec.Instance)
	streams := []*runlog.Stream{run.Stream("stdout"), run.Stream("stderr")}
	for i, s := range streams {
		k.had[i], k.out[i] = s.Bytes(), s
		switch {
		case len(rec.Secrets) > 0 && !known:
			k.out[i] = io.Discard // a secret might be among it
		case len(hide) > 0:
			w := redact.NewWriter(s, hide)
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
			rec.Kind, rec.Error = term.KindName(err), term.ErrorText(err)
		}
		if errors.Is(err, compute.ErrLost) {
			rec.State, rec.Exit = runlog.Lost, nil
		}
	})
	if k.Engine != nil {
		k.GiveBack(ctx)
	}
	return nil
}

// recorder is at a run that is held.
type recorder struct {
	*leasecmd.Claim
	run *runlog.Run
	rec runlog.Record
	out [2]io.Writer
	had [2]int64
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
			return exit, leasecmd.LostWhile(compute.ID(k.rec.Instance), err, nil)
		case errors.Is(err, leasecmd.ErrLeaseEnded):
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
	if k.Engine == nil {
		if k.Engine, err = k.App.Engine(ctx); err != nil {
			return exit, false, err
		}
	}
	k.Who = k.App.Who(ctx, k.Engine, k.rec.Instance)
	k.Who.Lease = k.rec.Lease
	lease, err := k.Engine.Use(ctx, k.Who, compute.ID(k.rec.Instance))
	if errors.Is(err, compute.ErrConflict) || errors.Is(err, compute.ErrNotFound) || errors.Is(err, compute.ErrDenied) {
		return exit, false, fmt.Errorf("%w: %w", leasecmd.ErrLeaseEnded, err)
	}
	if err != nil {
		return exit, false, err
	}
	k.Lease, k.Instance = lease, compute.Instance{ID: lease.Instance, Source: lease.Source}
	conn, _, err := k.Connect(ctx)
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
	watching.Go(func() { k.Watch(ctx, cancel) })
	defer watching.Wait()
	defer cancel(nil)
	cmd := &compute.Command{Stdout: tally{k.out[0], &k.had[0]}, Stderr: tally{k.out[1], &k.had[1]},
		Hold: &compute.Hold{Run: k.rec.ID, Attach: true, Look: true, Out: k.had[0], Err: k.had[1]}}
	exit, err = conn.Run(ctx, cmd)
	return exit, true, k.endOf(ctx, err)
}

// endOf is why contact to a run was lost, by what the connection said: where its lease has ended it
// is that, unless that was for its computer's end.
func (k *recorder) endOf(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if cause == nil {
		return k.WhatEnded(ctx, err)
	}
	if err == nil || !errors.Is(cause, leasecmd.ErrLeaseEnded) || errors.Is(err, compute.ErrEnded) && errors.Is(cause, compute.ErrEnded) {
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
