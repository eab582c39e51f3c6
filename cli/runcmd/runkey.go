package runcmd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/runlog"
)

// tendEvery is how often it is looked, while a run is waited for that is held, whether its recorder
// lives: one takes a while until it is seen.
const tendEvery = 10 * time.Second

// notAsked are the options of run that do not change what is asked for.
var notAsked = []string{"key", "report", "verbose", "quiet", "wait", "priority"}

// request is a digest of what a run is asked to do, by which the same run is known from another
// one. Standard input and the tree are no part of it.
func (r *runner) request(name string) string {
	h := sha256.New()
	add := func(words ...string) {
		fmt.Fprintln(h, len(words))
		for _, w := range words {
			fmt.Fprintf(h, "%d %s\n", len(w), w)
		}
	}
	wd, _ := os.Getwd()
	add(name, wd, string(r.script))
	add(r.Words...)
	add(slices.DeleteFunc(slices.Clone(r.Opt.given), func(w string) bool {
		option, _, _ := strings.Cut(strings.TrimPrefix(w, "--"), "=")
		return slices.Contains(notAsked, option) || option == "env"
	})...)
	for _, e := range r.Opt.env {
		if !strings.Contains(e, "=") { // what it is here goes along
			if value, ok := os.LookupEnv(e); ok {
				e += "=" + value
			}
		}
		add(e)
	}
	names := slices.Sorted(maps.Keys(r.Opt.set)) // of secrets the values may change
	add(names...)
	for _, n := range names {
		if !slices.Contains(r.Opt.hide, r.Opt.set[n]) {
			add(r.Opt.set[n])
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// takeKey looks what --key stands for. Of a run that was begun told is true, and err how it ended;
// else the key is held, for beginRecord to bind.
func (r *runner) takeKey(ctx context.Context, name string) (told bool, err error) {
	key := r.Opt.key
	log, err := runs()
	if err != nil {
		return false, err
	}
	ctx, stop := r.App.UntilSignal(ctx)
	defer stop()
	request := r.request(name)
	for {
		k, err := log.Key(ctx, key)
		if err != nil {
			return false, fmt.Errorf("--key %s: %w", term.Line(key), err)
		}
		if k.Free() {
			r.key, r.asked = k, request
			return false, nil
		}
		if k.Request != request {
			_ = k.Close()
			return false, &compute.Error{
				Kind: compute.ErrConflict,
				Err:  fmt.Errorf("--key %s: another run had this key: %s", term.Line(key), k.Run),
				Hint: "hostler runs show " + k.Run + "; another run takes another key",
			}
		}
		rec, err := log.Find(k.Run)
		if errors.Is(err, compute.ErrNotFound) {
			err = &compute.Error{
				Kind: compute.ErrConflict,
				Err:  fmt.Errorf("--key %s: its run %s was begun, and its record is gone", term.Line(key), k.Run),
				Hint: "another key runs it again",
			}
		}
		// nothing was run
		if err == nil && !rec.Begun && (rec.State == runlog.Ended || rec.State == runlog.Lost) {
			r.key, r.asked = k, request
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
func (r *runner) tellAgain(ctx context.Context, log *runlog.Log, rec runlog.Record) (told bool, err error) {
	a := r.App
	if r.Opt.detach {
		return true, term.Printf(a.Out, "%s\n", rec.ID)
	}
	if !a.Quiet {
		_ = term.Printf(
			a.Err, "%s: --key %s: this is run %s, begun at %s\n", a.Program, term.Line(r.Opt.key), rec.ID,
			rec.Started.Local().Format(time.DateTime),
		)
	}
	out, errs := tally{a.Out, new(int64)}, tally{a.Err, new(int64)}
	var tended time.Time
	for {
		// before the look, so that nothing comes after it
		over := rec.State == runlog.Ended || rec.State == runlog.Lost
		if time.Since(tended) > tendEvery {
			tendHeld(a, []runlog.Record{rec})
			tended = time.Now()
		}
		n, err := log.Copy(out.w, rec.ID, "stdout", *out.n)
		if err == nil {
			*out.n = n
			n, err = log.Copy(errs.w, rec.ID, "stderr", *errs.n)
		}
		if err != nil {
			return true, err
		}
		*errs.n = n
		if over {
			break
		}
		select {
		case <-ctx.Done():
			s := a.Signal()
			if s == "" {
				return true, ctx.Err()
			}
			return true, &term.Interruption{Signal: s, Became: "the run goes on: hostler attach " + rec.ID}
		case <-time.After(logEvery):
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
	r.told = &rec
	if rec.Error != "" {
		_ = term.Printf(a.Err, "%s: %s\n", a.Program, rec.Error)
	}
	if rec.Reason != "" {
		_ = term.Printf(a.Err, "%s: %s: the command was killed: %s\n", a.Program, rec.Instance, rec.Reason)
	}
	if *rec.Exit != 0 {
		return true, term.Exit(*rec.Exit)
	}
	return true, nil
}

// bindKey has --key stand for the run before anything is asked of anybody.
func (r *runner) bindKey() (err error) {
	if r.key == nil {
		return nil
	}
	k := r.key
	r.key = nil
	if err = r.rec.Err(); err == nil {
		err = r.rec.Sync()
	}
	if err == nil {
		err = k.Bind(r.asked, r.rec.ID())
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
