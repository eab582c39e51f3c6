package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/runlog"
)

const (
	useEvery  = time.Minute      // a run says so often that it uses its lease
	warnAhead = 5 * time.Minute  // of the lease's end
	killAfter = 10 * time.Second // a command that goes on after TERM or HUP is killed
)

// passedOn are the signals that a run hands to its command.
var passedOn = map[os.Signal]string{
	syscall.SIGINT: "INT", syscall.SIGTERM: "TERM", syscall.SIGHUP: "HUP", syscall.SIGQUIT: "QUIT", syscall.SIGUSR1: "USR1", syscall.SIGUSR2: "USR2",
}

// listen takes the process's signals. Before the command runs they end the context it returns; after that they go to the command: the first INT
// as INT, the second as TERM, the third kills, and so does waiting for 10 s after TERM and HUP. stop gives the signals back.
//
// SIGPIPE is taken too, so that a reader who has gone makes a write fail, after which what was acquired is still given back. It is not ignored:
// the command would inherit that.
func (r *runner) listen(ctx context.Context) (_ context.Context, stop func()) {
	r.signals = make(chan string, 8)
	ctx, cancel := context.WithCancel(ctx)
	got := make(chan os.Signal, 8)
	signal.Notify(got, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var kill <-chan time.Time
		stop := r.opt.stop
		for {
			var name string
			var soon bool
			select {
			case <-ctx.Done():
				return
			case <-kill:
				name = "KILL"
			case <-stop:
				stop = nil
				name, soon = r.onSignal("TERM")
			case s := <-got:
				name, soon = r.onSignal(passedOn[s])
			}
			switch name {
			case "":
			case "KILL":
				cancel()
			default:
				select {
				case r.signals <- name:
				default: // the command takes no more
				}
			}
			if soon && kill == nil {
				kill = time.After(killAfter)
			}
		}
	}()
	return ctx, func() {
		signal.Stop(got)
		cancel()
		<-done
	}
}

// onSignal says what to send to the command for a signal that we got: "" nothing, "KILL" to end it all; soon: kill it if it does not end.
func (r *runner) onSignal(name string) (send string, soon bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name == "" {
		return "", false
	}
	if r.signal == "" || name != "USR1" && name != "USR2" {
		r.signal = name
	}
	if !r.running {
		if name == "USR1" || name == "USR2" {
			return "", false
		}
		return "KILL", false
	}
	if name == "INT" {
		r.ints++
		return [...]string{"INT", "TERM", "KILL"}[min(r.ints, 3)-1], false
	}
	return name, name == "TERM" || name == "HUP"
}

func (r *runner) setRunning(b bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = b
}

// interrupted gives an error that our own end by a signal brought about the status of that signal.
func (r *runner) interrupted(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.signal != "" && errors.Is(err, context.Canceled) && r.begun.IsZero() {
		return &errInterrupted{r.signal, "the command has not begun"}
	}
	if r.signal != "" && errors.Is(err, context.Canceled) {
		return status(128 + compute.SignalNumber(r.signal))
	}
	return err
}

// watch renews the lease while the command runs, warns before the end of one that is not ours to renew, and ends the run when the lease
// has ended.
func (r *runner) watch(ctx context.Context, cancel context.CancelCauseFunc, restore func()) {
	lease := r.lease
	if lease.ID == "" {
		return // crcache's local
	}
	warned := false
	for {
		every := useEvery
		if lease.Idle > 0 {
			every = min(every, lease.Idle/3)
		}
		if left := time.Until(lease.Expires); !lease.Expires.IsZero() {
			switch {
			case r.temporary:
				every = min(every, lease.TTL/3)
			case left > warnAhead:
				every = min(every, left-warnAhead)
			default:
				if !warned {
					warned = true
					cr := ""
					if r.opt.tty || isTerminal(r.app.in) {
						cr = "\r" // the terminal is raw
					}
					_ = fprintf(r.app.errs, "%shostler: the lease of %s ends in %s, and this command with it: hostler extend %s%s\n",
						cr, r.instance.ID, short(left.Round(time.Second)), handle(lease), cr)
				}
				every = min(every, max(left, 0))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(every, 10*time.Millisecond)):
		}
		next, err := r.renew(ctx, lease)
		switch {
		case err == nil:
			if next.Expires.After(lease.Expires) {
				warned = false
			}
			lease = next
			r.mu.Lock()
			r.renewed = next
			r.mu.Unlock()
		case errors.Is(err, compute.ErrConflict) || errors.Is(err, compute.ErrNotFound) || errors.Is(err, compute.ErrDenied):
			cancel(errLeaseEnded)
			return
		}
	}
}

func (r *runner) renew(ctx context.Context, lease compute.Lease) (compute.Lease, error) {
	if r.temporary && lease.TTL > 0 {
		leases, err := r.engine.Extend(ctx, r.who, 0, r.instance.ID)
		if err != nil || len(leases) == 0 {
			return lease, err
		}
		return leases[0], nil
	}
	return r.engine.Use(ctx, r.who, r.instance.ID)
}

// sizes tells of a terminal's new sizes until stop is called.
func sizes(out *os.File) (_ <-chan compute.Size, stop func()) {
	changed, ended := make(chan os.Signal, 1), make(chan struct{})
	told := make(chan compute.Size, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	go func() {
		for {
			select {
			case <-ended:
				return
			case <-changed:
			}
			cols, rows, err := term.GetSize(int(out.Fd()))
			if err != nil {
				continue
			}
			select {
			case told <- compute.Size{Rows: rows, Cols: cols}:
			case <-ended:
				return
			}
		}
	}()
	return told, func() {
		signal.Stop(changed)
		close(ended)
	}
}

// runReport is what --report writes: one document for each run, whatever became of it.
type runReport struct {
	Run      string     `json:"run,omitempty"` // its id
	Instance string     `json:"instance,omitempty"`
	Source   string     `json:"source,omitempty"`
	Lease    string     `json:"lease,omitempty"`
	Begun    bool       `json:"begun"` // the command was started
	Exit     int        `json:"exit_status"`
	Signal   string     `json:"signal,omitempty"` // that ended the command
	Reason   string     `json:"reason,omitempty"` // why, where that is known: "out of memory"
	Kind     string     `json:"kind,omitempty"`   // of the error, where it was not the command's own status
	Error    string     `json:"error,omitempty"`
	Hint     string     `json:"hint,omitempty"`
	Started  time.Time  `json:"started"`
	Before   float64    `json:"before"`  // seconds until the command began: obtaining and connecting
	Command  float64    `json:"command"` // seconds that it ran
	Phases   phasesView `json:"phases"`  // of making the instance, whenever that was

	Tests     *runlog.Tests     `json:"tests,omitempty"`
	Artifacts []runlog.Artifact `json:"artifacts,omitempty"`
}

// writeReport writes the record of a run to a file, or to a descriptor that is open already: fd:3.
func (a *app) writeReport(name string, r *runner, err error) error {
	if name == "" {
		return nil
	}
	v := runReport{
		Instance: string(r.instance.ID), Source: r.instance.Source, Lease: r.lease.ID, Exit: runStatus(err), Started: r.started,
		Phases: viewPhases(r.instance.Phases), Begun: r.exit != nil,
	}
	if err == nil {
		v.Exit = 0
	}
	if r.rec != nil {
		rec := r.rec.Record()
		v.Run, v.Tests, v.Artifacts = rec.ID, rec.Tests, rec.Artifacts
	}
	if !r.begun.IsZero() {
		v.Before, v.Command = r.begun.Sub(r.started).Seconds(), r.ended.Sub(r.begun).Seconds()
	} else {
		v.Before = time.Since(r.started).Seconds()
	}
	var own status
	switch {
	case r.exit != nil:
		v.Signal, v.Reason = r.exit.Signal, r.exit.Reason
	case errors.As(err, &own):
		v.Begun = !r.begun.IsZero()
		v.Kind = ownKinds[own]
	case err != nil:
		v.Kind, v.Error, v.Hint = kindName(err), plain(err), compute.Hint(err)
	}
	return writeDocument(name, v)
}

// writeDocument writes a JSON document to a file, or to a descriptor that is open already: fd:3. "": nowhere.
func writeDocument(name string, v any) error {
	if name == "" {
		return nil
	}
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if n, ok := strings.CutPrefix(name, "fd:"); ok {
		fd, perr := strconv.Atoi(n)
		if perr != nil || fd < 0 {
			return invalid("", "--report %s: not a descriptor", name)
		}
		f := os.NewFile(uintptr(fd), name)
		_, perr = f.Write(data)
		return perr
	}
	return os.WriteFile(name, data, 0o600)
}
