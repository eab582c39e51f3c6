package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/redact"
)

// inline is the longest script that goes through the session, where a shell reads it byte by byte.
const inline = 16 << 10

// grace is how much longer than its time limit a script is waited for; the computer itself ends it.
const grace = time.Minute

// run is a script that was begun.
type run struct {
	began          time.Time
	stdout, stderr *tail

	session  string       // the session that runs it
	out, err *frameReader // the session's outputs
	flush    func()       // passes on what masking held back
}

func newRun() *run {
	return &run{began: time.Now(), stdout: &tail{max: kept}, stderr: &tail{max: kept}, flush: func() {}}
}

// streams returns the writers of a script's output: to the caller, masked, and to the Result.
func (a *applier) streams(st *Step, r *run) (stdout, stderr io.Writer) {
	var live [2]io.Writer
	if a.opt.Output != nil {
		live[0], live[1] = a.opt.Output(st)
	}
	join := func(t *tail, w io.Writer) *redact.Writer {
		if w == nil {
			return redact.NewWriter(t, a.plan.secrets)
		}
		return redact.NewWriter(teeWriter{t, w}, a.plan.secrets)
	}
	o, e := join(r.stdout, live[0]), join(r.stderr, live[1])
	r.flush = func() { _ = o.Close(); _ = e.Close() }
	return o, e
}

// teeWriter writes to a tail and, until that fails, to another writer.
type teeWriter struct {
	*tail
	w io.Writer
}

func (b teeWriter) Write(p []byte) (int, error) {
	_, _ = b.tail.Write(p)
	_, _ = b.w.Write(p) // a caller's failing writer does not fail a script
	return len(p), nil
}

// session is a command on the computer that runs scripts.
type session struct {
	token    string
	stdin    *io.PipeWriter
	out, err *frameReader
	cancel   context.CancelCauseFunc
	done     chan struct{} // closed when it has ended; then exit and fault are set
	exit     compute.Exit
	fault    error // an error of the connection
}

// open begins a session for the scripts that are due.
func (a *applier) open(ctx context.Context, l *remoteShell, s *remoteState) *session {
	token := newToken()
	stdin, feed := io.Pipe()
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	se := &session{
		token: token, stdin: feed, out: newFrameReader(token, nil), err: newFrameReader(token, nil), cancel: cancel,
		done: make(chan struct{}),
	}
	go func() { // ends with the command, which ends with its input
		defer close(se.done)
		se.exit, se.fault = l.conn.Run(own, l.command(token, sessionScript, stdin, se.out, se.err, "beside"))
		if cause := context.Cause(own); se.fault != nil && cause != nil {
			se.fault = &compute.Error{Kind: compute.ErrLost, Err: fmt.Errorf("it did not end in its time: %w", cause)}
		}
		_ = stdin.CloseWithError(io.ErrClosedPipe)
		se.out.close()
		se.err.close()
	}()
	return se
}

// preamble is the beginning of a session's input.
func (a *applier) preamble(s *remoteState) string {
	salt := "-"
	if s.fresh {
		salt = s.salt
	}
	names := []string{}
	for i := range a.out {
		if o := &a.out[i]; o.Step.Kind == KindScript && (o.Action == Pending || o.Action == Running) {
			names = append(names, fileName(o.Step))
		}
	}
	return salt + "\n" + strings.Join(names, " ") + "\n"
}

// fileName is a script's name while it runs on the computer; its errors show it.
func fileName(st *Step) string {
	clean := strings.Map(func(c rune) rune {
		if c < 128 && (c == '.' || c == '_' || c == '-' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z') {
			return c
		}
		return '_'
	}, path.Base(st.Name))
	return fmt.Sprintf("%d-%s", st.position+1, clean)
}

// frame is a script in the form of a session's input.
func frame(st *Step, sum string, carryOn bool, before, beforeErr int64) string {
	lines, rest, on := fmt.Sprint(strings.Count(st.Text, "\n")), "0", "stop"
	text := st.Text
	if text != "" && !strings.HasSuffix(text, "\n") {
		rest, text = "1", text+"\n"
	}
	if !inlined(st) {
		lines, rest, text = "-", "0", ""
	}
	if carryOn {
		on = "go"
	}
	return fmt.Sprintf("run %s %s %d %s %s %s %d %d %s %s/%s\n%s\n%s", fileName(st), st.ID(), int(st.Timeout.Seconds()), sum, lines, rest, before, beforeErr, on, st.Bundle, st.Name,
		environment(st.Env), text)
}

// inlined reports whether a script's text goes through the session.
func inlined(st *Step) bool { return len(st.Text) <= inline && !strings.Contains(st.Text, "\x00") }

// end lets a session end.
func (se *session) end() {
	go func() { // ends when it is read, or the session has ended
		_, _ = io.WriteString(se.stdin, "end\n")
		_ = se.stdin.Close()
	}()
	// contact may be lost
	t := time.AfterFunc(10*time.Second, func() { se.cancel(compute.ErrLost) })
	<-se.done
	t.Stop()
	se.cancel(nil)
}

// scripts runs the scripts that are due, while the lock is held.
func (a *applier) scripts(ctx context.Context, l *remoteShell, s *remoteState) error {
	var se *session
	defer func() {
		if se != nil {
			se.end()
		}
	}()
	for i := range a.out {
		o := &a.out[i]
		if o.Step.Kind != KindScript || o.Action != Pending {
			continue
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s: %w", o.Step.Title(), err)
		}
		a.report(o, Running)
		if !inlined(o.Step) {
			if err := l.call(ctx, "write it", newToken(), stageScript, strings.NewReader(o.Step.Text), nil, o.Step.ID()); err != nil {
				o.Action = Pending
				err = fmt.Errorf("%s: %w", o.Step.Title(), err)
				if lostContact(err) || ctx.Err() != nil {
					return err
				}
				if a.ended(o, newRun(), "", err); a.stops(o) { // as when the disk there is full
					return nil
				}
				continue
			}
		}
		begins := ""
		if se == nil {
			begins = a.preamble(s)
			se = a.open(ctx, l, s)
		}
		err := a.script(ctx, l, se, begins+frame(o.Step, s.scriptSum(o.Step, a.steps), true, se.out.came(), se.err.came()), o)
		if err != nil {
			o.Action = Pending
			return err
		}
		s.fresh = false
		if a.stops(o) {
			return nil
		}
		select {
		case <-se.done: // the session ended early, as when the disk is full
			se = nil
		default:
		}
	}
	return nil
}

// script runs one script. Its error is about the connection; o says how the script ended.
func (a *applier) script(ctx context.Context, l *remoteShell, se *session, input string, o *Outcome) error {
	st := o.Step
	r := newRun()
	r.session, r.out, r.err = se.token, se.out, se.err
	a.begun[st.ID()] = r
	stdout, stderr := a.streams(st, r)
	r.out.begin(stdout)
	r.err.begin(stderr)
	var work sync.WaitGroup
	defer work.Wait()
	rest, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := func(why string) { // a session of its own outlives its connection
		work.Go(func() {
			rest, done := context.WithTimeout(rest, grace/2)
			defer done()
			if err := l.call(rest, "stop", newToken(), stopScript, nil, nil, se.token, st.ID(), why); err != nil && rest.Err() == nil {
				se.cancel(err)
			}
		})
	}
	// ends when it is read, or the session has ended
	go func() { _, _ = io.WriteString(se.stdin, input) }()
	limit, last, asked := time.NewTimer(st.Timeout), time.NewTimer(st.Timeout+grace), ctx.Done()
	defer limit.Stop()
	defer last.Stop()
	var status string
	said, gone := 0, se.done
	for said < 2 && gone != nil {
		select {
		case status = <-r.out.ended:
			said++
		case <-r.err.ended:
			said++
		case <-asked:
			asked = nil
			stop("stopped")
		case <-limit.C:
			stop("timeout")
		case <-last.C:
			se.cancel(compute.ErrLost)
		case <-gone:
			gone = nil
		}
	}
	if gone == nil && status == "" {
		select {
		case status = <-r.out.ended:
		default:
		}
	}
	r.flush()
	if status == "" {
		err := refused("run it", se.exit, se.fault, r.stderr.String())
		// whatever killed the session cut us off: the script may still run
		if se.fault == nil && se.exit.Signal != "" {
			err = &compute.Error{Kind: compute.ErrLost, Err: err}
		}
		if err == nil {
			err = &compute.Error{Kind: compute.ErrLost, Err: errors.New("it ended without saying how")}
		}
		if ctx.Err() != nil {
			err = errors.Join(ctx.Err(), err)
		} else if !lostContact(err) { // as when the disk there is full
			a.ended(o, r, "", fmt.Errorf("%s: %w", st.Title(), err))
			return nil
		}
		return fmt.Errorf("%s: %w", st.Title(), err)
	}
	a.end(ctx, o, r, status)
	return ctx.Err()
}

// await waits for a script that runs, or ended, without us. session is the one that runs it, if
// known.
func (a *applier) await(ctx context.Context, l *remoteShell, o *Outcome, session string) error {
	st, token := o.Step, newToken()
	r := a.begun[st.ID()]
	at, atErr := "-", "-"
	if r == nil || r.out == nil {
		r = newRun()
		r.session = session
		stdout, stderr := a.streams(st, r)
		r.out, r.err = newFrameReader(session, stdout), newFrameReader(session, stderr)
	} else {
		at, atErr = fmt.Sprint(r.out.came()), fmt.Sprint(r.err.came())
		stdout, stderr := a.streams(st, r)
		r.out.begin(stdout)
		r.err.begin(stderr)
		a.begun[st.ID()] = r
	}
	a.report(o, Running)
	end := newFrameReader(token, r.out)
	exit, err := l.conn.Run(ctx, l.command(token, waitScript, bytes.NewReader(nil), end, r.err, r.session, st.ID(), at, atErr))
	err = refused("wait for it", exit, err, "")
	end.close()
	r.out.close()
	r.err.close()
	r.flush()
	if err != nil {
		return fmt.Errorf("%s: %w", st.Title(), err)
	}
	status := "lost"
	select {
	case status = <-end.ended:
	default:
	}
	if status == "lost" { // it was cut short and runs again
		delete(a.begun, st.ID())
		o.Action, o.Why = Pending, "it was cut short"
		return nil
	}
	a.end(ctx, o, r, status)
	return nil
}

// scriptsPending reports whether a script is still to be run.
func (a *applier) scriptsPending() bool {
	for i := range a.out {
		if a.out[i].Step.Kind == KindScript && a.out[i].Action == Pending {
			return true
		}
	}
	return false
}
