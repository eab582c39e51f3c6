package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	slaponce "github.com/hostler-project/hostler/node/once"
	"github.com/hostler-project/hostler/node/standalone"
	"github.com/hostler-project/hostler/node/supervise"
	"github.com/hostler-project/hostler/slap"
)

const (
	standPatience = 60 * time.Second // until master and supervisor answer, on a busy machine
	standGrace    = 20 * time.Second // until one that was told to end has ended, and then it is killed
	standPause    = time.Second      // before one is started again: another's of before may be about to end
	standSaid     = 4 << 10          // bytes of what one said, in an error
	standLasts    = 5 * time.Second  // one that ends sooner, three times in turn, does not stay
)

// standPart is a process of a standalone SlapOS, that is started again when it ends by itself.
type standPart struct {
	name string
	stop context.CancelFunc
	done chan struct{}
}

// stage has the processes.
type stage struct {
	*slapos
	*standing
	layout *standalone.Layout
	fall   context.CancelCauseFunc // ends all, as one of them does not stay
	client *slap.Client
	sv     *supervise.Client
}

// stand has a SlapOS in a directory until ctx ends, or a command has.
func (s *slapos) stand(ctx context.Context, o *standing) error {
	end, err := (&nodeCommand{slapos: s}).alone(filepath.Join(o.Dir, standalone.Run, "slapos-standalone.pid"))
	if err != nil {
		return err
	}
	defer end()
	l, err := standalone.Lay(&o.Options)
	if err != nil {
		return err
	}
	whole := ctx
	ctx, fall := context.WithCancelCause(ctx)
	defer fall(nil)
	t := &stage{slapos: s, standing: o, layout: l, fall: fall, sv: supervise.NewClient(l.At(standalone.Instances + "/sv.sock"))}
	defer t.sv.Close()
	if t.client, err = slap.NewClient(slap.Options{URL: l.Master}); err != nil {
		return err
	}
	defer t.client.Close()
	err = t.play(ctx)
	if whole.Err() != nil {
		if len(o.words) == 0 {
			return nil // that is how it ends
		}
		return cmp.Or(err, context.Cause(whole))
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// play starts one after the other, is there, and ends them in the other order.
func (t *stage) play(ctx context.Context) error {
	l := t.layout
	cfg := []string{"--cfg", l.At(standalone.Config)}
	master := t.start(ctx, "slapos-proxy", append([]string{"slapos", "proxy", "start"}, cfg...))
	defer master.end()
	if err := t.until(ctx, master, func(ctx context.Context) bool {
		_, err := t.client.Computer(ctx, t.Computer)
		return err == nil || !errors.Is(err, slap.ErrUnreachable)
	}); err != nil {
		return err
	}
	sup := t.start(ctx, "supervisord", append([]string{"slapos", "node", "supervisord", "--nodaemon"}, cfg...))
	defer sup.end()
	if err := t.until(ctx, sup, func(ctx context.Context) bool { _, err := t.sv.Groups(ctx); return err == nil }); err != nil {
		return err
	}
	defer t.quiet()
	if err := t.clear(ctx); err != nil {
		return err
	}
	if err := t.once(ctx, "slapos-node-format", append([]string{"slapos", "node", "format", "--now"}, cfg...)); err != nil {
		return err
	}
	// What ran before was ended, and is to run again.
	if err := l.Forget(); err != nil {
		return err
	}
	if !t.manual {
		node := t.start(ctx, "slapos-node-auto", append([]string{"node"}, cfg...))
		defer node.end()
	}
	t.say("SlapOS master on %s, and its node %s with %d partitions in %s; %s speaks to it", l.Master, t.Computer, len(l.Names()), l.Dir, l.At(standalone.Wrapper))
	if len(t.words) > 0 {
		return t.command(ctx)
	}
	if t.a.flags.json {
		if err := t.a.printJSON(t.view(l)); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// clear takes away the partitions that there are to be no more, with all that runs in them.
func (t *stage) clear(ctx context.Context) error {
	names, err := t.layout.Surplus()
	if err != nil {
		return err
	}
	for _, name := range names {
		t.say("Removing the partition %s.", name)
		if err := t.sv.Remove(ctx, name); err != nil && !errors.Is(err, compute.ErrNotFound) {
			return err
		}
		if _, err := slaponce.End(ctx, slaponce.Partition(t.Computer, t.layout.At(standalone.Instances+"/"+name)), nil); err != nil {
			return err
		}
	}
	return t.layout.Remove(names)
}

// quiet ends all programs of the partitions.
func (t *stage) quiet() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // a program has a minute
	defer cancel()
	if err := t.sv.Stop(ctx, "all"); err != nil {
		t.warn("Programs of the partitions may run still: %v", err)
	}
}

// open opens the log of a process.
func (t *stage) open(name string) (*os.File, error) {
	return os.OpenFile(t.log(name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
}

func (t *stage) log(name string) string { return t.layout.At(standalone.Logs + "/" + name + ".log") }

// run runs a process of ours to its end, which is near when ctx ends. A terminal's signals are for us alone.
func (t *stage) run(ctx context.Context, name string, argv []string) error {
	log, err := t.open(name)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, t.Program, argv...)
	cmd.Args[0] = "hostler"
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = "/", t.layout.Environ(os.Environ()), log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGTERM} // it ends when we are killed
	return runTied(cmd)
}

// runTied runs a process that ends with us to its end: it is asked to when its context ends, and then killed.
func runTied(cmd *exec.Cmd) error {
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(unix.SIGTERM) }, standGrace
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // what ends with us ends with the thread that has started it
		done <- cmd.Run()
	}()
	return <-done
}

// start starts a process, and again whenever it ends by itself, until its end is called. One that does not stay ends all.
func (t *stage) start(ctx context.Context, name string, argv []string) *standPart {
	p := &standPart{name: name, done: make(chan struct{})}
	ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx)) // it ends in its turn
	go func() {
		defer close(p.done)
		for short := 0; ; {
			began := time.Now()
			err := t.run(ctx, name, argv)
			if ctx.Err() != nil {
				return
			}
			if short++; time.Since(began) > standLasts {
				short = 1
			}
			t.warn("%s ended: %v", name, cmp.Or(err, errors.New("without an error")))
			if short >= 3 {
				t.fall(&compute.Error{Op: "standalone", Kind: compute.ErrFailed, Err: fmt.Errorf("%s does not stay", name), Hint: "its log is " + t.log(name)})
				return
			}
			select {
			case <-time.After(standPause):
			case <-ctx.Done():
				return
			}
		}
	}()
	return p
}

// end ends a process for good.
func (p *standPart) end() {
	p.stop()
	<-p.done
}

// until waits until a process does its work.
func (t *stage) until(ctx context.Context, p *standPart, is func(ctx context.Context) bool) error {
	patience, tick := time.After(standPatience), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !is(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-patience:
			return &compute.Error{Op: "standalone", Kind: compute.ErrTimeout, Err: fmt.Errorf("%s does not answer after %s", p.name, standPatience), Hint: "its log is " + t.log(p.name)}
		}
	}
	return nil
}

// once runs a process that ends; the end of what it said is in the error.
func (t *stage) once(ctx context.Context, name string, argv []string) error {
	var at int64
	if info, err := os.Stat(t.log(name)); err == nil {
		at = info.Size()
	}
	err := t.run(ctx, name, argv)
	if err == nil {
		return nil
	} else if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	text, _ := os.ReadFile(t.log(name))
	text = text[min(int(at), len(text)):]
	return &compute.Error{Op: "standalone", Kind: compute.ErrFailed, Err: fmt.Errorf("%s: %w\n%s", name, err, bytes.TrimSpace(text[max(0, len(text)-standSaid):]))}
}

// command runs the command that all this is for, and is its exit status. What ends us ends it.
func (t *stage) command(ctx context.Context) error {
	program := t.words[0]
	if own := t.layout.At("bin/" + program); !strings.Contains(program, "/") {
		if _, err := os.Stat(own); err == nil {
			program = own
		}
	}
	cmd := exec.CommandContext(ctx, program, t.words[1:]...)
	cmd.Env = t.layout.Environ(os.Environ())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = t.a.in, t.a.out, t.a.errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGTERM}
	err := runTied(cmd)
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil || errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success():
		return nil
	case ok && exit.Sys().(syscall.WaitStatus).Signaled():
		return status(128 + int(exit.Sys().(syscall.WaitStatus).Signal()))
	case cmd.ProcessState != nil && cmd.ProcessState.ExitCode() >= 0:
		return status(cmd.ProcessState.ExitCode())
	}
	t.warn("%s: %v", t.words[0], err)
	if errors.Is(err, fs.ErrPermission) {
		return status(exitNotExec)
	}
	return status(exitNotFound)
}
