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

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// defaultTimeout is how long a script may take by default. It is enough to install packages. A
// script that waits for input that never comes does not hold an instance for a day.
const defaultTimeout = 10 * time.Minute

// Call says what to run.
type Call struct {
	// the hook directory, ".../provision.d"; a missing one has no scripts
	Dir      string
	Event    string     // "provision", "discard", "acquire", "release" or "check"
	Instance compute.ID // each script's first argument
	// added to the process's environment: HOSTLER_SOURCE, HOSTLER_ADDRESS, ...
	Env map[string]string

	// stop at the first failure; otherwise run all scripts and report the failures at the end
	StopAtFirst bool
	Timeout     time.Duration // of each script; 0: 10 minutes

	Resume int // how many scripts are done and not run again
	// a file with the names of those scripts; "": the first ones of the directory
	Record string
	// called when n scripts need not run again; an error ends the run. May be nil
	Done func(n int, name string) error
	// gets the scripts' output, with a header line before each; nil: discarded. It is not closed
	Output io.Writer
}

// variables are the variables of a hook. Those of an outer hook must not be inherited.
var variables = []string{
	"HOSTLER_INSTANCE", "HOSTLER_SOURCE", "HOSTLER_PROVIDER_ID", "HOSTLER_EVENT", "HOSTLER_ADDRESS", "HOSTLER_SSH_CONFIG", "HOSTLER_LEASE",
}

// Run runs the scripts of a directory. The error is a *compute.Error: ErrTimeout if a single script
// failed for its time, otherwise ErrFailed. It wraps a *ScriptError for each failed script;
// errors.Is finds the context's error if that was the reason. A failing Output is ignored, so a
// full disk fails no hook.
//
// To continue a run that was cut short, call it with the n of the last Done as Resume and the same
// Record. Scripts added since then run too, and none that is done runs again.
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
		c.Timeout = defaultTimeout
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

// environment returns the environment of the scripts: the process's own, without the variables of
// an outer hook, and the call's.
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

// script runs one script to its end; nil: it succeeded.
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
	go func() { // ends when the last writer has gone, or when reading stops below
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
	case <-time.After(drainFor): // a background process still holds the pipe
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

// drainFor is how long to wait for output of background processes after the script's end.
const drainFor = 500 * time.Millisecond

// start starts a script. A file that is open for writing cannot be executed. If this process wrote
// it, another thread's fork may hold a copy of the descriptor for a moment, so start tries again.
func start(path, arg string, env []string, out *os.File) (*exec.Cmd, error) {
	for try := 0; ; try++ {
		cmd := exec.Command(path, arg)
		cmd.Env = env
		cmd.Stdout, cmd.Stderr = out, out
		// a session, so that job control inside cannot hide a process group
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		err := cmd.Start()
		if err == nil || !errors.Is(err, syscall.ETXTBSY) || try == 20 {
			return cmd, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// startError turns the error of starting a script into one that says what is wrong with the file.
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

// interpreter returns the interpreter in a script's first line; "": there is none.
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
	if name := strings.TrimPrefix(unix.SignalName(s), "SIG"); name != "" {
		return name
	}
	return fmt.Sprint(int(s))
}

// output passes its input to a writer until that fails, and keeps the end.
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
