//go:build linux

package sandbox_test

import (
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox"
)

// idleThreads is how many threads an idle sandbox may hold. The machine has pid_max numbers
// for the threads of all programs together.
const idleThreads = 4

// TestIdleThreads: a sandbox in which nothing runs holds few threads: when it is new, and when
// much has run in it at once.
func TestIdleThreads(t *testing.T) { tryIdleThreads(t) }

func TestIdleThreadsAsUser(t *testing.T) {
	if asUser(t) {
		tryIdleThreads(t)
	}
}

func tryIdleThreads(t *testing.T) {
	j := newJail(t, sandbox.Options{})
	falls := func(when string) {
		t.Helper()
		n := 0
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if n = threadsOf(t, j.p.PID("jail")); n <= idleThreads {
				t.Logf("%s: %d threads", when, n)
				return
			}
		}
		t.Errorf("%s: %d threads", when, n)
	}
	falls("new")
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			if _, err := j.conn.Run(t.Context(), &compute.Command{Args: []string{"/bin/sleep", "0.3"}}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	t.Logf("at work: %d threads", threadsOf(t, j.p.PID("jail")))
	falls("used")
	_ = j.conn.Close()
	j.conn = nil
	falls("left")
	works(t, j.p, "jail")
}

// threadsOf is how many threads a process has.
func threadsOf(t *testing.T, pid int) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}
