package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/held"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/run/status"
	"github.com/hostler-project/hostler/text/visible"
)

// tendEvery is how often it is looked, while a run is waited for that is held, whether its recorder
// lives: one takes a while until it is seen.
const tendEvery = 10 * time.Second

// takeKey looks what --key stands for. Of a run that was begun told is true, and err how it ended;
// else the key is held, for beginRecord to bind.
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
		// nothing was run
		if err == nil && !rec.Begun && (rec.State == runlog.Ended || rec.State == runlog.Lost) {
			r.key = k
			return false, nil
		}
		_ = k.Close()
		if err != nil {
			return false, err
		}
		if told, err := r.tellAgain(ctx, log, rec); told || err != nil {
			return true, err
		}
	}
}

// tellAgain tells what a run wrote and how it ended, and waits for that. told is false where it
// turned out not to have begun.
func (r *Runner) tellAgain(ctx context.Context, log *runlog.Log, rec runlog.Record) (told bool, err error) {
	if r.Detach {
		_, err := fmt.Fprintln(r.Stdout, rec.ID)
		return true, err
	}
	r.Printer.Say("--key %s: this is run %s, begun at %s", visible.Line(r.Record.Key), rec.ID, rec.Started.Local().Format(time.DateTime))
	var out, errs int64 // printed by now
	var tended time.Time
	for {
		// before the look, so that nothing comes after it
		over := rec.State == runlog.Ended || rec.State == runlog.Lost
		if time.Since(tended) > tendEvery {
			held.Tend(log, r.Record.Follow, rec)
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
			return true, &status.Interruption{Signal: s, Became: "the run goes on: hostler attach " + rec.ID}
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
		return true, status.Exit(*rec.Exit)
	}
	return true, nil
}

// bindKey has --key stand for the run before anything is asked of anybody.
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

// cannotRecord says why a run with a key is not run.
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
