package runas

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
)

// Mark is the variable by which the processes of a command are known.
const Mark = "HOSTLER_ONCE"

// ErrLimit is in the error of a command that took longer than it may.
var ErrLimit = errors.New("it took too long")

// Run runs a command. It returns when the command and, without Spare, all processes that it has
// started have ended. When ctx ends the command is ended. An exit status other than 0 is an
// *exec.ExitError, wrapped if we ended the command.
func Run(ctx context.Context, c Command) (e error) {
	fail := func(kind error, format string, args ...any) error {
		return &compute.Error{Op: "runas.Run", Kind: kind, Err: fmt.Errorf(format, args...)}
	}
	if len(c.Argv) == 0 {
		return fail(compute.ErrInvalid, "there is no command")
	}
	if c.User != nil && (c.User.UID == 0 || c.User.GID == 0) {
		return fail(compute.ErrDenied, "%s is not run as root, who has uid or gid 0", c.Argv[0])
	}
	env := c.Env[:len(c.Env):len(c.Env)]
	if c.Mark != "" {
		if strings.ContainsRune(c.Mark+c.Part, 0) {
			return fail(compute.ErrInvalid, "%q is no mark", c.Mark+c.Part)
		}
		if _, err := end(ctx, c.Mark, c.Part, c.User); err != nil {
			return err
		}
		if env = append(env, For+"="+c.Mark); c.Part != "" {
			env = append(env, partOf+"="+c.Part)
		}
	}
	whole := ctx
	if c.Limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Limit, ErrLimit)
		defer cancel()
	}
	mark := Mark + "=" + rand.Text()
	cmd := exec.Command(c.Argv[0], c.Argv[1:]...)
	cmd.Dir, cmd.Env = c.Dir, append(env, mark)
	pipes, err := c.connect(cmd)
	defer func() {
		for _, p := range pipes {
			p.started()
			bad := p.end()
			if e == nil {
				e = bad
			}
		}
	}()
	if err != nil {
		return fail(compute.ErrFailed, "%w", err)
	}
	if c.Input != nil {
		cmd.Stdin = bytes.NewReader(c.Input)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if u := c.User; u != nil && os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
	}
	cmd.WaitDelay = time.Second // a process that is not ours to end may keep its input open after its end
	err = start(cmd, c.Umask)
	for _, p := range pipes {
		p.started()
	}
	if err != nil {
		return fail(compute.ErrFailed, "%w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		if c.Polite > 0 && whole.Err() == nil {
			// if it has ended this moment, its number is not in use again yet
			_ = unix.Kill(-cmd.Process.Pid, unix.SIGTERM)
			select {
			case <-ended:
				reap(mark, unix.SIGKILL)
				return limited(c.Limit)
			case <-time.After(c.Polite):
			case <-whole.Done():
			}
		}
		reap(mark, unix.SIGSTOP) // first, so that nothing of it begins anything more
		reap(mark, unix.SIGKILL)
		_ = cmd.Process.Kill()
		err = <-ended
		cause := context.Cause(ctx)
		if errors.Is(cause, ErrLimit) && whole.Err() == nil {
			return limited(c.Limit)
		}
		return errors.Join(cause, err)
	}
	if !c.Spare {
		reap(mark, unix.SIGKILL)
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	return err
}

// connect connects a command's output. The caller must end the returned pipes, also after an error.
func (c *Command) connect(cmd *exec.Cmd) (pipes []*pipe, err error) {
	to := func(w io.Writer) (io.Writer, error) {
		if _, file := w.(*os.File); w == nil || file {
			return w, nil
		}
		p, err := newPipe(w)
		if err != nil {
			return nil, err
		}
		pipes = append(pipes, p)
		return p.write, nil
	}
	if cmd.Stdout, err = to(c.Output); err != nil {
		return pipes, err
	}
	cmd.Stderr = cmd.Stdout
	if c.Errors != nil {
		cmd.Stderr, err = to(c.Errors)
	}
	return pipes, err
}

// limited is the error of a command that was ended for its limit.
func limited(limit time.Duration) error {
	return &compute.Error{Op: "runas.Run", Kind: compute.ErrTimeout, Err: fmt.Errorf("%w: it was ended after %s", ErrLimit, limit)}
}

// start starts a command under a mask. The mask belongs to the forking thread, which is dropped
// afterwards.
func start(cmd *exec.Cmd, mask int) error {
	if mask == 0 {
		return cmd.Start()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			done <- fmt.Errorf("a thread cannot have a mask of its own: %w", err)
			return
		}
		unix.Umask(mask)
		done <- cmd.Start()
	}()
	return <-done
}

// reap sends a signal to all that has a mark, until none is left that it means something to.
func reap(mark string, sig unix.Signal) {
	for range 20 {
		all, err := proc.Find(proc.Marked(mark))
		if err != nil {
			return
		}
		n := 0
		for _, h := range all {
			st, err := proc.ReadStat(h.PID)
			if err == nil && !st.Ended() && (sig != unix.SIGSTOP || st.State != 'T') {
				n++
				_ = h.Signal(sig)
			}
		}
		proc.Close(all)
		if n == 0 {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}
