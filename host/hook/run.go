package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// DefaultTimeout is how long a script may take unless the call says otherwise. Long enough to
// install packages, short enough that a script which waits for an answer nobody gives does not hold
// an instance for a day.
const DefaultTimeout = 10 * time.Minute

// Call says what to run.
type Call struct {
	// the hook directory, ".../provision.d"; one that does not exist has no scripts
	Dir      string
	Event    string     // "provision", "discard", "acquire", "release" or "check"
	Instance compute.ID // each script's first argument
	// added to the caller's environment: HOSTLER_SOURCE, HOSTLER_ADDRESS, ...
	Env map[string]string

	// a failure ends it; otherwise all scripts run, and the failures are told at the end
	StopAtFirst bool
	Timeout     time.Duration // for each script; 0: DefaultTimeout

	Resume int // so many scripts are done already: not run again
	// a file that has which ones; "": the first ones of those that are there now
	Record string
	// called when n scripts, skipped ones included, need not run again; an error ends it. May be
	// nil
	Done func(n int, name string) error
	// gets the scripts' output as it comes, a header line before each; nil: discarded. Not closed
	Output io.Writer
}

// the variables that a hook gets. Those of a hook around us must not shine through.
var variables = []string{
	"HOSTLER_INSTANCE", "HOSTLER_SOURCE", "HOSTLER_PROVIDER_ID", "HOSTLER_EVENT", "HOSTLER_ADDRESS", "HOSTLER_SSH_CONFIG", "HOSTLER_LEASE",
}

// Run runs the scripts of a directory. The error is a *compute.Error (ErrFailed; ErrTimeout when a
// script's time was up) that wraps a *ScriptError for each script that failed; errors.Is finds the
// context's error when that was the reason. Output that cannot be written is dropped: a full disk
// does not fail a hook.
//
// A run that was cut short goes on when it is called with the n of its last Done as Resume, and the
// same Record: what has come into the directory since then is run too, and nothing is run twice
// that was done.
func Run(ctx context.Context, c Call) error {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return &compute.Error{Op: "hook.Run", ID: c.Instance, Kind: compute.ErrFailed, Err: err}
	}
	names, _, err := List(dir)
	if err != nil {
		return &compute.Error{Op: "hook.Run", ID: c.Instance, Kind: compute.ErrFailed, Err: err}
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Output == nil {
		c.Output = io.Discard
	}
	env := c.environment()
	var failures Failures
	done := begin(c.Record, c.Resume, names)
	for _, name := range names {
		if done.has(name) {
			continue
		}
		title := filepath.Join(filepath.Base(dir), name)
		if err := ctx.Err(); err != nil {
			failures = append(failures, &ScriptError{Path: filepath.Join(dir, name), Name: title, Err: err})
			break
		}
		out := &output{to: c.Output}
		_, err := fmt.Fprintf(c.Output, "== %s %s\n", title, c.Instance)
		out.failed = err != nil
		if f := c.script(ctx, filepath.Join(dir, name), env, out); f != nil {
			f.Name = title
			f.Tail = out.tail.String()
			failures = append(failures, f)
			if c.StopAtFirst || ctx.Err() != nil {
				break
			}
		}
		n, err := done.add(name)
		if err != nil {
			fmt.Fprintf(out, "hostler: %v\n", err)
		}
		if c.Done != nil {
			if err := c.Done(n, name); err != nil {
				return errors.Join(failures.asError(c.Instance), err)
			}
		}
	}
	return failures.asError(c.Instance)
}

func (c *Call) environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(variables, name)
	})
	env = append(env, "HOSTLER_INSTANCE="+string(c.Instance), "HOSTLER_EVENT="+c.Event)
	for k, v := range c.Env {
		env = append(env, k+"="+v) // of two, the last counts
	}
	return env
}

// script runs one of them to its end; nil: it ended well.
func (c *Call) script(ctx context.Context, path string, env []string, out *output) *ScriptError {
	read, write, err := os.Pipe()
	if err != nil {
		return &ScriptError{Path: path, Err: err}
	}
	defer read.Close()
	cmd, err := start(path, string(c.Instance), env, write)
	write.Close()
	if err != nil {
		return &ScriptError{Path: path, Err: startError(path, err)}
	}
	drained := make(chan struct{})
	go func() { // ends when the last writer of the pipe has gone, or when we stop reading below
		defer close(drained)
		io.Copy(out, read)
	}()
	ended := make(chan struct{})
	go func() { // ends with the script, which is killed if need be
		defer close(ended)
		cmd.Wait()
	}()

	f := &ScriptError{Path: path}
	timer := time.NewTimer(c.Timeout)
	defer timer.Stop()
	select {
	case <-ended:
	case <-ctx.Done():
		f.Err = ctx.Err()
		kill(cmd.Process.Pid, ended)
	case <-timer.C:
		f.Timeout = c.Timeout
		kill(cmd.Process.Pid, ended)
	}
	<-ended
	select {
	case <-drained:
	case <-time.After(drainFor): // something in the background still holds the pipe
		read.SetReadDeadline(time.Now())
		<-drained
	}
	if f.Err == nil && f.Timeout == 0 {
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		switch {
		case status.Signaled():
			f.Exit.Signal = signalName(status.Signal())
		case status.ExitStatus() != 0:
			f.Exit.Code = status.ExitStatus()
		default:
			return nil
		}
	}
	return f
}

// drainFor is how long output is still awaited from what a script left behind: its last words, not
// a daemon's log.
const drainFor = 500 * time.Millisecond

// start starts a script. A file that somebody holds open for writing cannot be executed; for our
// own files that is over in a moment: another thread that is just forking holds a copy of the
// descriptor.
func start(path, arg string, env []string, out *os.File) (*exec.Cmd, error) {
	for try := 0; ; try++ {
		cmd := exec.Command(path, arg)
		cmd.Env = env
		cmd.Stdout, cmd.Stderr = out, out
		// a session, so that job control inside cannot hide a group from us
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		err := cmd.Start()
		if err == nil || !errors.Is(err, syscall.ETXTBSY) || try == 20 {
			return cmd, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func startError(path string, err error) error {
	kind := compute.ErrCannotStart
	hint := ""
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		kind, hint = compute.ErrNotExecutable, "a script's first line must be #! and its interpreter"
	case errors.Is(err, os.ErrNotExist):
		kind, hint = compute.ErrNoCommand, "the script or the interpreter that its first line names is not there"
	case errors.Is(err, os.ErrPermission):
		kind = compute.ErrNotExecutable
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	if name := interpreter(path); kind == compute.ErrNoCommand && name != "" {
		if _, e := os.Stat(name); errors.Is(e, os.ErrNotExist) {
			return &compute.Error{
				Kind: kind, Err: fmt.Errorf("its interpreter %s does not exist", name),
				Hint: "mend its first line, or install it",
			}
		}
	}
	return &compute.Error{Kind: kind, Err: err, Hint: hint}
}

// interpreter is what a script's first line names; "": nothing.
func interpreter(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	line := make([]byte, 256) // as much as kernels read
	n, _ := io.ReadFull(f, line)
	text, _, _ := strings.Cut(string(line[:n]), "\n")
	if words := strings.Fields(strings.TrimPrefix(text, "#!")); strings.HasPrefix(text, "#!") && len(words) > 0 {
		return words[0]
	}
	return ""
}

func signalName(s syscall.Signal) string {
	if name := compute.SignalName(int(s)); name != "" {
		return name
	}
	return fmt.Sprint(int(s))
}

// output hands on to a writer until that fails, and keeps the end.
type output struct {
	to     io.Writer
	tail   tail
	failed bool
}

func (o *output) Write(p []byte) (int, error) {
	if !o.failed {
		_, err := o.to.Write(p)
		o.failed = err != nil
	}
	o.tail.Write(p)
	return len(p), nil
}
