package supervise_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

// supervisor is a process that supervises, until it is killed: it starts what it reads a line of.
func supervisor(dir string) {
	s, err := supervise.New(supervise.Options{Dir: dir})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		name := lines.Text()
		_, err := s.Put(context.Background(), supervise.Group{Name: name, Programs: []supervise.Program{
			{Name: "a", Command: []string{"/bin/sleep", "1000"}, Dir: "/", Keep: supervise.Again},
			{Name: "b", Command: []string{"/bin/sleep", "1000"}, Dir: "/", Keep: supervise.Again},
		}})
		if err == nil {
			err = s.Start(context.Background(), name)
		}
		fmt.Println("started", name, err)
	}
}

// TestKilled kills a supervisor at any moment; the next one has each program run once, and no
// process is left over at the end.
func TestKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	self, err := os.Executable()
	do(t, err)
	said := map[string]bool{}
	for i := range 12 {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), "SUPERVISE_DIR="+dir)
		in, err := cmd.StdinPipe()
		do(t, err)
		out, err := cmd.StdoutPipe()
		do(t, err)
		do(t, cmd.Start())
		lines := bufio.NewScanner(out)
		if !lines.Scan() || lines.Text() != "ready" {
			t.Fatalf("it says %q", lines.Text())
		}
		go func() {
			for n := range 20 {
				_, _ = fmt.Fprintf(in, "g%d-%d\n", i, n)
			}
		}()
		for range i { // so many are started, and then it dies in the middle of another
			if lines.Scan() {
				said[strings.Fields(lines.Text())[1]] = true
			}
		}
		time.Sleep(time.Duration(i%4) * time.Millisecond)
		_ = cmd.Process.Kill()
		for lines.Scan() {
			said[strings.Fields(lines.Text())[1]] = true
		}
		_ = cmd.Wait()
	}
	s, err := supervise.New(supervise.Options{Dir: dir})
	do(t, err)
	defer s.Close()
	all, err := s.Status(t.Context())
	do(t, err)
	id, err := os.ReadFile(filepath.Join(dir, "id"))
	do(t, err)
	running := map[string]bool{}
	for _, st := range all {
		if st.State == supervise.Running {
			running[st.FullName()] = true
		}
	}
	for name := range said {
		if !running[name+":a"] || !running[name+":b"] {
			t.Errorf("of %s, which was said to be started, not all runs", name)
		}
	}
	count := func() map[string]int {
		n := map[string]int{}
		pids, err := proc.PIDs()
		do(t, err)
		for _, pid := range pids {
			env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
			for entry := range strings.SplitSeq(string(env), "\x00") {
				if f := strings.Fields(entry); len(f) == 3 && f[0] == "HOSTLER_SERVICE="+strings.TrimSpace(string(id)) {
					n[f[2]]++
				}
			}
		}
		return n
	}
	for name, n := range count() {
		if n != 1 || !running[name] {
			t.Errorf("%s runs %d times; it is known to run: %v", name, n, running[name])
		}
	}
	if len(said) < 30 {
		t.Errorf("only %d groups were started", len(said))
	}
	do(t, s.Stop(t.Context(), "all"))
	for end := time.Now().Add(time.Minute); len(count()) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("left over: %v", count())
		}
	}
}
