package standalone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/compute"
)

const (
	grace = 20 * time.Second // until one that was told to end has ended, and then it is killed
	pause = time.Second      // before one is started again: another's of before may be about to end
	lasts = 5 * time.Second  // one that ends sooner, three times in turn, does not stay
)

// A process is started again when it ends by itself.
type process struct {
	name string
	stop context.CancelFunc
	done chan struct{}
}

// start starts a process, and again whenever it ends by itself, until its end is called. One that
// does not stay ends all.
func (s *Standalone) start(name string, words []string) *process {
	p := &process{name: name, done: make(chan struct{})}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background()) // it ends in its turn
	go func() {
		defer close(p.done)
		for short := 0; ; {
			began := time.Now()
			err := s.run(ctx, name, words, false)
			if ctx.Err() != nil {
				return
			}
			if short++; time.Since(began) > lasts {
				short = 1
			}
			s.warn("%s ended: %v", name, cmp.Or(err, errors.New("without an error")))
			if short >= 3 {
				s.fall(&compute.Error{
					Op: "standalone", Kind: compute.ErrFailed, Err: fmt.Errorf("%s does not stay", name),
					Hint: "its log is " + s.log(name),
				})
				return
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
		}
	}()
	return p
}

// end ends a process for good, if there is one.
func (s *Standalone) end(p **process) {
	if *p != nil {
		(*p).stop()
		<-(*p).done
		*p = nil
	}
}

// waitFor waits until a process does its work.
func (s *Standalone) waitFor(ctx context.Context, p *process, is func(ctx context.Context) bool) error {
	late, tick := time.After(patience), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !is(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		case <-late:
			return &compute.Error{
				Op: "standalone", Kind: compute.ErrTimeout,
				Err: fmt.Errorf("%s does not answer after %s", p.name, patience), Hint: "its log is " + s.log(p.name),
			}
		}
	}
	return nil
}

// run runs a process of ours to its end, which comes soon after the end of ctx. Its output is in
// its log, or with shown on our terminal. Without shown, the terminal's signals are for us alone.
func (s *Standalone) run(ctx context.Context, name string, words []string, shown bool) error {
	log, err := s.open(name)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, s.o.Program, words...)
	cmd.Args[0] = "hostler"
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = "/", s.Environ(os.Environ()), log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !shown}
	if shown {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	}
	return RunTied(cmd)
}

// RunTied runs a process to its end that ends with us, however we end: it is asked to when its
// context ends, and killed 20 s later.
func RunTied(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	endWithParent(cmd.SysProcAttr)
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(syscall.SIGTERM) }, grace
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // a process that ends with us ends with the thread that has started it
		done <- cmd.Run()
	}()
	return <-done
}
