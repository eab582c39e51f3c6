//go:build linux

package sandbox_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox"
)

// budget is something that the machine has once.
type budget struct {
	name    string
	most    int             // how many a program tries to take
	keep    int             // how many it may get with the bound; -1: it is the kernel that says
	used    func() int      // how many the machine has in use; nil: it does not say
	all     func() int      // how many the machine has; nil: it does not say
	without []string        // the defences with which it is bound; none: it is the kernel's own bound
	options sandbox.Options // of the sandbox
	user    bool            // an ordinary user's sandbox is tried too
}

func budgets() []budget {
	return []budget{
		{name: "ptys", most: 400, keep: 64, used: kernelNumber("kernel/pty/nr"), all: kernelNumber("kernel/pty/max"), without: []string{"ptys"}, user: true},
		{name: "aio", most: 100, keep: 0, used: kernelNumber("fs/aio-nr"), all: kernelNumber("fs/aio-max-nr"), without: []string{"seccomp"}, user: true},
	}
}

// kernelNumber reads a number of the kernel's.
func kernelNumber(name string) func() int {
	return func() int {
		b, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			return 0
		}
		n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
		return n
	}
}

// TestBudgets has a hostile program take all that it can get of what the machine has once. It gets no more than the sandbox's bound, the machine keeps
// nine tenths of it, and a sandbox beside it still gets its own. With the bound switched off the program gets more: else the test would prove nothing.
func TestBudgets(t *testing.T) { tryBudgets(t) }

func TestBudgetsAsUser(t *testing.T) {
	if asUser(t) {
		tryBudgets(t)
	}
}

func tryBudgets(t *testing.T) {
	for _, b := range budgets() {
		t.Run(b.name, func(t *testing.T) {
			if os.Geteuid() != 0 && !b.user {
				t.Skipf("%s: an ordinary user's sandbox has no bound of its own", b.name)
			}
			before := b.usedNow()
			j := newJail(t, b.options)
			got, let := j.take(b.name, b.most)
			if b.keep >= 0 && got > b.keep {
				t.Errorf("it took %d, and %d is its bound", got, b.keep)
			}
			if b.all != nil && b.used != nil {
				if taken, all := b.used()-before, b.all(); taken > all/10 {
					t.Errorf("it took %d of the machine's %d", taken, all)
				}
			}
			o := b.options
			o.Source, o.Installation = "suite", mine()+"-beside"
			beside := newJail(t, o)
			if n, let := beside.take(b.name, min(b.most, max(b.keep, 0))); n < b.keep {
				t.Errorf("a sandbox beside it gets only %d", n)
			} else {
				let()
			}
			let()
			if len(b.without) == 0 {
				return
			}
			o = b.options
			o.Without = b.without
			free, let := newJail(t, o).take(b.name, b.most)
			let()
			if free <= max(b.keep, got) {
				t.Errorf("without %v it took no more than %d", b.without, free)
			}
		})
	}
}

func (b budget) usedNow() int {
	if b.used == nil {
		return 0
	}
	return b.used()
}

// take has a program inside take so many of something, and returns how many it got and what ends it.
func (j *jail) take(what string, most int) (int, func()) {
	j.Helper()
	in, hold := io.Pipe()
	out, say := io.Pipe()
	ended := make(chan error, 1)
	ctx := context.WithoutCancel(j.T.Context())
	go func() {
		_, err := j.conn.Run(ctx, &compute.Command{
			Args: []string{j.program}, Dir: "/", Stdin: in, Stdout: say, Stderr: say,
			Env: map[string]string{takeEnv: what + " " + strconv.Itoa(most), "GORACE": os.Getenv("GORACE")},
		})
		_ = say.Close()
		ended <- err
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	go func() { _, _ = io.Copy(io.Discard, out) }()
	end := func() {
		_ = hold.Close()
		if err := <-ended; err != nil {
			j.T.Errorf("take %s: %v", what, err)
		}
	}
	var n int
	if _, serr := fmt.Sscanf(line, "took %d:", &n); err != nil || serr != nil {
		end()
		j.T.Fatalf("take %s: %q, %v", what, line, err)
	}
	j.T.Logf("%s: %s", what, strings.TrimSpace(line))
	return n, end
}
