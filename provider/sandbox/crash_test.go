//go:build linux

package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox"
)

// The program runs itself to be killed: it does what is asked in the environment, and at the step
// of that number kills itself.
const crashEnv = "HOSTLER_TEST_CRASH"

type crash struct {
	Dir   string
	Do    string // create, clean or destroy
	Step  int
	Upper string
	Ahead bool // with a first process that was started ahead
}

// crashing is the program that is to be killed. It prints the steps.
func crashing(text string) int {
	var c crash
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		panic(err)
	}
	ctx := context.Background()
	p, err := sandbox.Open(ctx, slog.New(slog.DiscardHandler), sandbox.Options{
		Source: "suite", Installation: mine(), Home: os.Getenv("HOME"), Agent: built, Network: "none", Dir: c.Dir, Upper: c.Upper,
	})
	if err != nil {
		panic(err)
	}
	if c.Ahead {
		go func() { _ = p.Ahead(ctx) }()
		for !p.HasAhead() {
			time.Sleep(time.Millisecond)
		}
	}
	n := 0
	p.SetStep(func(step string) error {
		fmt.Println(step)
		if n++; n == c.Step {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	})
	switch c.Do {
	case "create":
		_, err = p.Create(ctx, compute.Spec{ID: "crash"})
	case "clean":
		_, err = p.Clean(ctx, "crash")
	case "destroy":
		err = p.Destroy(ctx, "crash")
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func (c crash) run(t *testing.T) (steps []string, killed bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), crashEnv+"="+string(text))
	out, err := cmd.CombinedOutput()
	steps = strings.Fields(strings.ReplaceAll(string(out), " ", "_"))
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return steps, true
	}
	if err != nil {
		t.Fatalf("%+v: err = %v\nout = %s; want no error", c, err, out)
	}
	return steps, false
}

// TestKilled kills the process that makes, cleans and destroys a sandbox, at each step. What is
// left is finished by whoever comes next, and then nothing is left at all.
func TestKilled(t *testing.T) { killed(t) }

func TestKilledAsUser(t *testing.T) {
	if asUser(t) {
		killed(t)
	}
}

func killed(t *testing.T) {
	for _, upper := range []string{"ram", "disk"} {
		for _, do := range []string{"create", "clean", "destroy"} {
			t.Run(upper+" "+do, func(t *testing.T) {
				var seen []string
				for step := 1; ; step++ {
					dir := t.TempDir()
					before := traces(t, dir)
					p := open(t, sandbox.Options{Dir: dir, Upper: upper})
					if do != "create" {
						if _, err := p.Create(t.Context(), compute.Spec{ID: "crash"}); err != nil {
							t.Fatal(err)
						}
					}
					steps, dead := crash{Dir: dir, Do: do, Step: step, Upper: upper}.run(t)
					seen = steps
					if do == "create" && step%2 == 0 { // somebody wants it still
						if _, err := p.Create(t.Context(), compute.Spec{ID: "crash"}); err != nil {
							t.Errorf("create after a kill at %s: %v", steps[len(steps)-1], err)
						}
						works(t, p, "crash")
					}
					gone(t, p, "crash")
					settled(t, dir, before, fmt.Sprintf("a kill at step %d of %v", step, steps))
					if !dead {
						break
					}
				}
				if len(seen) < 3 {
					t.Errorf("only the steps %v", seen)
				}
			})
		}
	}
}

// works runs a command in a sandbox.
func works(t *testing.T, p *sandbox.Provider, id compute.ID) {
	t.Helper()
	c, err := p.Connect(t.Context(), id)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	if exit, err := c.Run(t.Context(), &compute.Command{Args: []string{"true"}}); err != nil || exit.Status() != 0 {
		t.Errorf("true: %v, %v", exit, err)
	}
}

// gone destroys a sandbox until it is proved to be gone.
func gone(t *testing.T, p *sandbox.Provider, id compute.ID) {
	t.Helper()
	for range 10 {
		if err := p.Destroy(t.Context(), id); errors.Is(err, compute.ErrNotFound) {
			return
		} else if err != nil {
			t.Error(err)
			return
		}
	}
	t.Errorf("%s is not gone", id)
}

// traces is all that a sandbox could leave: files, mounts, first processes, control groups.
func traces(t *testing.T, dir string) []string {
	t.Helper()
	out := left(t, dir)
	for _, line := range groups(t) {
		out = append(out, "group "+line)
	}
	slices.Sort(out)
	return out
}

// groups lists the control groups of this test's installation.
func groups(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "find", "/sys/fs/cgroup", "-path", "*/hostler-"+mine()+"/*", "-type", "d").Output()
	if err != nil {
		return nil
	}
	return strings.Fields(string(out))
}

// settled waits until nothing is there that was not before.
func settled(t *testing.T, dir string, before []string, after string) {
	t.Helper()
	var more []string
	for range 3000 {
		more = slices.DeleteFunc(traces(t, dir), func(s string) bool { return slices.Contains(before, s) })
		if len(more) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("after %s there is more than before:\n%s", after, strings.Join(more, "\n"))
}

// TestFirstProcessKilled: a sandbox whose agent is killed says so, and is unmade as any other.
func TestFirstProcessKilled(t *testing.T) {
	dir := t.TempDir()
	before := traces(t, dir)
	p := open(t, sandbox.Options{Dir: dir})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "agent"}); err != nil {
		t.Fatal(err)
	}
	c, err := p.Connect(t.Context(), "agent")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	running := make(chan error, 1)
	go func() {
		_, err := c.Run(t.Context(), &compute.Command{Args: []string{"sleep", "600"}})
		running <- err
	}()
	time.Sleep(50 * time.Millisecond)
	var l struct{ PID int }
	text, err := os.ReadFile(dir + "/instances/agent/life")
	if err == nil {
		err = json.Unmarshal([]byte(strings.Split(string(text), "\n")[0]), &l)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(l.PID, syscall.SIGKILL); err != nil {
		t.Fatalf("strconv.Itoa(l.PID) = %v, err = %v; want no error", strconv.Itoa(l.PID), err)
	}
	if err := <-running; !errors.Is(err, compute.ErrLost) {
		t.Errorf("a command whose sandbox was killed: %v", err)
	}
	for try := 0; ; try++ { // the connection is lost a moment before the process is gone
		err := p.Check(t.Context(), "agent")
		if errors.Is(err, compute.ErrFailed) {
			break
		}
		if err != nil || try == 3000 {
			t.Fatalf("Check: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if c, err := p.Connect(t.Context(), "agent"); err == nil {
		c.Close()
		t.Error("a connection to a sandbox that was killed")
	} else if !strings.Contains(err.Error(), "has ended") {
		t.Errorf("Connect: %v", err)
	}
	gone(t, p, "agent")
	settled(t, dir, before, "the first process was killed")
	if n := zombies(t); n > 0 {
		t.Errorf("%d children of ours have ended, and nobody took note", n)
	}
}

// zombies counts our children that have ended and wait for us.
func zombies(t *testing.T) int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range all {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) > 1 && fields[0] == "Z" && fields[1] == strconv.Itoa(os.Getpid()) {
			n++
		}
	}
	return n
}

// TestForgotten: a sandbox whose record is removed, with all of the state for one, ends by itself.
func TestForgotten(t *testing.T) {
	if testing.Short() {
		t.Skip("forgotten: takes as long as a sandbox takes to notice")
	}
	dir := t.TempDir()
	p := open(t, sandbox.Options{Dir: dir})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "forgotten"}); err != nil {
		t.Fatal(err)
	}
	c, err := p.Connect(t.Context(), "forgotten")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := os.RemoveAll(dir + "/instances"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Run(t.Context(), &compute.Command{Args: []string{"/bin/sleep", "600"}}); !errors.Is(err, compute.ErrLost) {
		t.Errorf("it goes on: %v", err)
	}
	if err := p.Destroy(t.Context(), "forgotten"); !errors.Is(err, compute.ErrNotFound) {
		t.Error(err)
	}
}
