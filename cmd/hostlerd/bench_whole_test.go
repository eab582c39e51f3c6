package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// The controller's load in BenchmarkController.
const (
	manyInstances = 100_000
	manyLeases    = 10_000
	manyWaiting   = 1000
	manyWatchers  = 500
)

// BenchmarkController measures a controller that has a lot to look after: its memory, what it does
// when nobody asks, a page of the list, and how long it takes to answer again after kill -9.
func BenchmarkController(b *testing.B) {
	hostler, _ := built(b)
	// what is leased is not made anew
	m, cmd, socket := servedPool(b, hostler, manyInstances, fmt.Sprintf("maximum = %d\nttl = 10h\n", manyInstances))
	c, err := client.New(client.Options{Socket: socket})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(b.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	_, err = c.Acquire(ctx, compute.Request{Source: "p", Count: manyLeases, Owner: "root"})
	must(err)
	_, err = c.Acquire(ctx, compute.Request{Source: "one", Count: 1, Owner: "root"})
	must(err)
	var waiting, watching atomic.Int64
	for range manyWaiting {
		all.Go(func() {
			var once sync.Once
			_, err := c.Acquire(
				ctx,
				compute.Request{
					Source: "one", Count: 1, Owner: "root", Wait: -1,
					Notify: func(compute.Progress) { once.Do(func() { waiting.Add(1) }) },
				},
			)
			if ctx.Err() == nil {
				b.Errorf("a waiter: %v", err)
			}
		})
	}
	last, err := c.Events(ctx, inventory.EventQuery{Limit: 1})
	must(err)
	for range manyWatchers {
		all.Go(func() {
			watching.Add(1)
			if err := c.Watch(
				ctx, inventory.EventQuery{After: last[0].ID, Source: "one"}, func(compute.Event) error { return nil },
			); ctx.Err() == nil {
				b.Errorf("a watcher: %v", err)
			}
		})
	}
	for end := time.Now().Add(5 * time.Minute); waiting.Load() < manyWaiting ||
		watching.Load() < manyWatchers; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("%d wait and %d watch", waiting.Load(), watching.Load())
		}
	}
	time.Sleep(15 * time.Second) // what was begun ends
	used := cpuTime(b, cmd.Process.Pid)
	const idle = 20 * time.Second
	time.Sleep(idle)
	used = cpuTime(b, cmd.Process.Pid) - used
	fmt.Println()
	row(b, "resident, with all that", resident(b, cmd.Process.Pid), "MiB", "<= 600")
	row(b, "processor while nobody asks", 100*used.Seconds()/idle.Seconds(), "% of a core", "< 3")
	var took []time.Duration
	for range 21 {
		begun := time.Now()
		_, err := c.Instances(ctx, inventory.InstanceQuery{Source: "p", After: 50_000, Limit: 100})
		took = append(took, time.Since(begun))
		must(err)
	}
	slices.Sort(took)
	row(b, "a page of the list, 100 of 100,000", ms(took[len(took)/2]), "ms", "< 20")
	cancel()
	all.Wait()
	restarted := func(leases int) {
		b.Helper()
		must(cmd.Process.Kill())
		_ = cmd.Wait()
		cmd = m.serving(b)
		row(b, fmt.Sprintf("after kill -9 with %d leases, until it answers", leases), ms(answering(b, socket)), "ms", "< 1000")
		status, err := c.Status(b.Context())
		must(err)
		if i := slices.IndexFunc(
			status, func(s inventory.SourceStatus) bool { return s.Name == "p" },
		); i < 0 || status[i].Counts.InUse() != leases {
			b.Errorf("status after it: %+v", status)
		}
	}
	restarted(manyLeases)
	took = nil
	for range manyInstances/manyLeases - 1 {
		begun := time.Now()
		_, err := c.Acquire(b.Context(), compute.Request{Source: "p", Count: manyLeases, Owner: "root", Wait: 5 * time.Minute})
		took = append(took, time.Since(begun))
		must(err)
	}
	// The first found that what this source had in memory went with the process, and made it anew.
	row(b, "the last 10,000 of 100,000, taken at once / the second", float64(took[len(took)-1])/float64(took[1]), "x", "<= 2")
	restarted(manyInstances)
	var gone *os.SyscallError
	if err := cmd.Process.Signal(syscall.Signal(0)); errors.As(err, &gone) {
		b.Errorf("it did not stay: %v", err)
	}
}

// resident is how much memory a process has, in MiB.
func resident(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(v)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kib) / 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}

// cpuTime is what a process has used of the processors.
func cpuTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	words := strings.Fields(rest)
	user, err1 := strconv.Atoi(words[11])
	system, err2 := strconv.Atoi(words[12])
	if err := errors.Join(err1, err2); err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
