package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/exitstatus"
	"github.com/hostler-project/hostler/run/detachedruns"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/text/visible"
)

// tendEvery is how often a wait for a held run checks that its recorder lives. A new recorder takes
// a while to show.
const tendEvery = 10 * time.Second

// takeKey finds the run that the key stands for. If there is one that began, told is true, and err
// is how it ended. Otherwise the key is held for beginRecord to bind.
func (r *Runner) takeKey(ctx context.Context) (told bool, err error) {
	log, key, request := r.Record.Log, r.Record.Key, r.Record.Request
	if log == nil {
		return false, cannotRecord(errors.New("there is no log of runs"))
	}
	ctx, stop := r.Interrupts.Listen(ctx, r.Signals)
	defer stop()
	for {
		k, err := log.Key(ctx, key)
		if err != nil {
			return false, fmt.Errorf("--key %s: %w", visible.Line(key), err)
		}
		if k.Free() {
			r.key = k
			return false, nil
		}
		if k.Request != request {
			_ = k.Close()
			return false, &compute.Error{
				Kind: compute.ErrConflict,
				Err:  fmt.Errorf("--key %s: another run had this key: %s", visible.Line(key), k.Run),
				Hint: "hostler runs show " + k.Run + "; another run takes another key",
			}
		}
		rec, err := log.Find(k.Run)
		if errors.Is(err, compute.ErrNotFound) {
			err = &compute.Error{
				Kind: compute.ErrConflict,
				Err:  fmt.Errorf("--key %s: its run %s was begun, and its record is gone", visible.Line(key), k.Run),
				Hint: "another key runs it again",
			}
		}
		// no command was run
		if err == nil && !rec.Begun && (rec.State == runlog.Ended || rec.State == runlog.Lost) {
			r.key = k
			return false, nil
		}
		_ = k.Close()
		if err != nil {
			return false, err
		}
		if told, err := r.replay(ctx, log, rec); told || err != nil {
			return true, err
		}
	}
}

// replay prints the output of an earlier run, waits for its end and returns that. told is false
// if the command turns out not to have begun.
func (r *Runner) replay(ctx context.Context, log *runlog.Log, rec runlog.Record) (told bool, err error) {
	if r.Detach {
		_, err := fmt.Fprintln(r.Stdout, rec.ID)
		return true, err
	}
	r.Printer.Say("--key %s: this is run %s, begun at %s", visible.Line(r.Record.Key), rec.ID, rec.Started.Local().Format(time.DateTime))
	var out, errs int64 // bytes printed so far
	var tended time.Time
	for {
		// read before the output, so that no output can follow it
		over := rec.State == runlog.Ended || rec.State == runlog.Lost
		if time.Since(tended) > tendEvery {
			detachedruns.StartRecorders(log, r.Record.Follow, rec)
			tended = time.Now()
		}
		if out, err = log.Copy(r.Stdout, rec.ID, "stdout", out); err != nil {
			return true, err
		}
		if errs, err = log.Copy(r.Stderr, rec.ID, "stderr", errs); err != nil {
			return true, err
		}
		if over {
			break
		}
		select {
		case <-ctx.Done():
			s := r.Interrupts.By()
			if s == "" {
				return true, ctx.Err()
			}
			return true, &exitstatus.Interruption{Signal: s, Became: "the run goes on: hostler attach " + rec.ID}
		case <-time.After(runlog.Every):
		}
		if rec, err = log.Find(rec.ID); err != nil {
			return true, err
		}
	}
	switch {
	case !rec.Begun:
		return false, nil
	case rec.State == runlog.Lost || rec.Exit == nil:
		return true, &compute.Error{
			ID: compute.ID(rec.ID), Kind: compute.ErrLost,
			Err:  errors.New("its process was killed, so nobody knows how it ended"),
			Hint: "hostler attach " + rec.ID + " goes on with it, if it still runs; another key runs it again",
		}
	}
	r.result.Earlier = &rec
	if rec.Error != "" {
		r.Printer.Warn("%s", rec.Error)
	}
	if rec.Reason != "" {
		r.Printer.Warn("%s: the command was killed: %s", rec.Instance, rec.Reason)
	}
	if *rec.Exit != 0 {
		return true, exitstatus.Exit(*rec.Exit)
	}
	return true, nil
}

// bindKey binds the key to the run before anything is requested.
func (r *Runner) bindKey() (err error) {
	if r.key == nil {
		return nil
	}
	k := r.key
	r.key = nil
	if err = r.rec.Err(); err == nil {
		err = r.rec.Sync()
	}
	if err == nil {
		err = k.Bind(r.Record.Request, r.rec.ID())
	}
	return cannotRecord(errors.Join(err, k.Close()))
}

// cannotRecord is the error of a run with a key that cannot be recorded, and so does not run.
func cannotRecord(err error) error {
	if err == nil {
		return nil
	}
	return &compute.Error{
		Kind: compute.ErrUnavailable,
		Err:  fmt.Errorf("--key: the run cannot be recorded, so the same key could not find it: %w", err),
		Hint: "hostler doctor",
	}
}
