//go:build linux

package sandbox_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox"
)

// budget is something that the machine has once.
type budget struct {
	name string
	most int        // how many a program tries to take
	keep int        // how many it may get; shared: what the kernel gives each sandbox
	used func() int // how many the machine has in use; nil: it does not say
	all  func() int // how many the machine has; nil: it does not say
	// the defences with which it is bound; none: it is the kernel's own bound
	without []string
	options sandbox.Options // of the sandbox
	leaves  bool            // it stays when who took it ends, so the machine's own is not tried
	rooted  bool            // an ordinary user's sandbox has no bound of its own
}

// shared: each sandbox has its own of it by a name space or a user of its own, and the kernel
// says how many. What one takes, the machine and a sandbox beside it do not miss.
const shared = -1

func budgets() []budget {
	filter, privileges := []string{"seccomp"}, []string{"seccomp", "capabilities"}
	all := []budget{
		{
			name: "ptys", most: 400, keep: 64, used: kernelNumber("kernel/pty/nr"), all: kernelNumber("kernel/pty/max"),
			without: []string{"ptys"},
		},
		{name: "aio", most: 100, used: kernelNumber("fs/aio-nr"), all: kernelNumber("fs/aio-max-nr"), without: filter},
		{name: "keys", most: 20, without: filter},
		{name: "rings", most: 5, without: filter},
		{name: "userfaults", most: 5, without: filter},
		{name: "fanotify", most: 5, without: filter},
		{name: "maps", most: 5},
		{name: "loops", most: 5},
		{name: "groups", most: 5},
		{name: "users", most: 10, without: filter},
		{name: "nets", most: 3, without: privileges},
		{name: "mounts", most: 50, without: privileges},
		{name: "processes", most: 300, keep: 100, without: []string{"limits"}, options: sandbox.Options{PIDs: 100}, rooted: true},
		{name: "disk", most: 24, keep: 8, without: []string{"limits"}, options: sandbox.Options{Disk: 8 << 20}},
		{name: "inodes", most: 2500, keep: 2048, without: []string{"limits"}, options: sandbox.Options{Disk: 8 << 20}},
		{name: "shm", most: 100, keep: 64},
		{name: "inotify", most: 1000, keep: shared, rooted: true},
		{name: "segments", most: 500, keep: shared, leaves: true},
		{name: "semaphores", most: 500, keep: shared, leaves: true},
		{name: "messages", most: 500, keep: shared, leaves: true},
		{name: "queues", most: 60, keep: shared, leaves: true, rooted: true},
		{name: "ports", most: 500, keep: shared},
		{name: "epolls", most: 500, keep: shared},
		{name: "pipes", most: 500, keep: shared, rooted: true},
		{name: "timers", most: 500, keep: shared, rooted: true},
		{name: "locks", most: 500, keep: shared, leaves: true},
	}
	if os.Geteuid() == 0 {
		return all
	}
	// What the kernel counts by user an ordinary user's sandbox has a quarter of.
	var signals unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_SIGPENDING, &signals)
	inotify, timers := kernelNumber("fs/inotify/max_user_instances")()/4, int(signals.Cur/4)
	counts := []string{"counts"}
	return append(all,
		budget{name: "inotify", most: inotify + 10, keep: inotify, without: counts},
		budget{name: "timers", most: timers + 10, keep: timers, without: counts},
		budget{name: "queues", most: 60, keep: 40, without: counts, leaves: true})
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

// TestBudgets has a hostile program take all that it can get of what the machine has once. It gets
// no more than the sandbox's bound, the machine keeps nine tenths of it, and a sandbox beside it
// still gets its own. With the bound switched off the program gets more: else the test would prove
// nothing.
func TestBudgets(t *testing.T) { tryBudgets(t) }

func TestBudgetsAsUser(t *testing.T) {
	if asUser(t) {
		tryBudgets(t)
	}
}

func tryBudgets(t *testing.T) {
	for _, b := range budgets() {
		t.Run(b.name, func(t *testing.T) {
			if os.Geteuid() != 0 && b.rooted {
				t.Skipf("%s: an ordinary user's sandbox shares it with its user", b.name)
			}
			b.try(t)
		})
	}
}

// try takes all that there is, in one sandbox, beside it and on the machine itself.
func (b budget) try(t *testing.T) {
	before := b.usedNow()
	j := newJail(t, b.options)
	got, let := j.take(b.name, b.most)
	defer let()
	if b.keep != shared && got > b.keep {
		t.Errorf("it took %d, and %d is its bound", got, b.keep)
	}
	if b.all != nil && b.used != nil {
		if taken, all := b.used()-before, b.all(); taken > all/10 {
			t.Errorf("it took %d of the machine's %d", taken, all)
		}
	}
	o := b.options
	o.Source, o.Installation = "suite", mine()+"-beside"
	if got > 0 {
		n, letBeside := newJail(t, o).take(b.name, got)
		defer letBeside()
		if n < got/10*9 {
			t.Errorf("it took %d, and a sandbox beside it gets only %d", got, n)
		}
	}
	if b.keep == shared && !b.leaves {
		if n := takeHere(t, b.name, 10); n < 10 {
			t.Errorf("it took %d, and the machine's own programs get only %d", got, n)
		}
	}
	if len(b.without) > 0 {
		o = b.options
		o.Source, o.Installation, o.Without = "suite", mine()+"-open", b.without
		free, letFree := newJail(t, o).take(b.name, b.most)
		defer letFree()
		if free <= got {
			t.Errorf("without %v it took no more than %d", b.without, free)
		}
	}
}

// takeHere has a program of the machine's own take so many of something, and give them back.
func takeHere(t *testing.T, what string, most int) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), takeEnv+"="+what+" "+strconv.Itoa(most))
	out, err := cmd.Output()
	var n int
	if _, serr := fmt.Sscanf(string(out), "took %d:", &n); err != nil || serr != nil {
		t.Fatalf("take %s here: %q, %v", what, out, err)
	}
	return n
}

func (b budget) usedNow() int {
	if b.used == nil {
		return 0
	}
	return b.used()
}

// take has a program inside take so many of something, and returns how many it got and what ends
// it.
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
