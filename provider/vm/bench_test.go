//go:build linux

package vm_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// BenchmarkVM measures what a warm machine costs against the cold boot of the same image in the
// same run. Times depend on the processors, and on who else uses them: each measurement waits some
// seconds for a moment in which nobody does, and it is told for how many there was none.
func BenchmarkVM(b *testing.B) {
	cold := lab(b)
	cold.Dir = filepath.Join(b.TempDir(), "state")
	c := open(b, cold)
	o := warm(b)
	o.Memory = cold.Memory
	p := open(b, o)
	defer p.Close()
	names := []string{
		"cold boot", "restored", "first command, after that at once", "first command, paused warm machine",
		"next command", "reset to clean",
	}
	all := map[string]*timed{}
	for _, name := range names {
		all[name] = &timed{name: name}
	}
	boot := func(n int) {
		id := compute.ID(fmt.Sprintf("suite-cold-%d", n))
		quiet(all["cold boot"])
		all["cold boot"].time(func() {
			if _, err := c.Create(b.Context(), compute.Spec{ID: id}); err != nil {
				b.Fatal(err)
			}
			first(b, connect(b, c, id))
		})
		destroy(b, c, id)
	}
	restore := func(id compute.ID) {
		quiet(all["restored"])
		all["restored"].time(func() {
			if _, err := p.Create(b.Context(), compute.Spec{ID: id}); err != nil {
				b.Fatal(err)
			}
		})
	}
	use := func(name string, id compute.ID) {
		var conn compute.Conn
		if all[name].name != "first command, after that at once" {
			quiet(all[name])
		}
		pid, _ := p.PID(id)
		before, _ := spent(pid)
		all[name].time(func() {
			var err error
			if conn, err = p.Connect(b.Context(), id); err != nil {
				b.Fatal(err)
			}
			first(b, conn)
		})
		after, _ := spent(pid)
		all[name].cpu = append(all[name].cpu, after-before)
		for range 3 {
			all["next command"].time(func() { first(b, conn) })
		}
		conn.Close()
	}
	load, _ := os.ReadFile("/proc/loadavg")
	boot(0)
	for b.Loop() {
		for n := range 11 {
			id := compute.ID(fmt.Sprintf("suite-%d", n))
			restore(id)
			rehearsed(b, p, id)
			use("first command, paused warm machine", id)
			quiet(all["reset to clean"])
			all["reset to clean"].time(func() {
				if _, err := p.Clean(b.Context(), id); err != nil {
					b.Fatal(err)
				}
			})
			rehearsed(b, p, id)
			use("first command, paused warm machine", id)
			destroy(b, p, id)
			if n%4 == 0 {
				restore(id)
				use("first command, after that at once", id)
				destroy(b, p, id)
			}
		}
	}
	boot(1)
	boot(2)
	fmt.Printf("\n%d processors, load before %s", runtime.NumCPU(), load)
	for _, name := range names {
		fmt.Printf(
			"median: %-40s %8.1f ms, of %d, the least %.1f ms; %d on a busy machine\n", name, ms(all[name].median()),
			len(all[name].took), ms(slices.Min(all[name].took)), all[name].busy,
		)
	}
	used := all["first command, paused warm machine"]
	row(b, "paused warm machine, to the first command's end", ms(used.median()), "ms", "<= 25")
	row(b, "  processor time of qemu for that", ms(median(used.cpu)), "ms", "")
	row(b, "restored from file", ms(all["restored"].median()), "ms", "<= 150")
	row(b, "reset to clean", ms(all["reset to clean"].median()), "ms", "<= 150")
	for _, name := range []string{"first command, paused warm machine", "restored", "reset to clean"} {
		row(b, "cold boot / "+name, float64(all["cold boot"].median())/float64(all[name].median()), "x", ">= 20")
	}
}

// timed is what something took.
type timed struct {
	name string
	took []time.Duration
	cpu  []time.Duration // of qemu
	busy int             // how often the machine was busy with something else
}

// quiet waits, not for ever, for a tenth of a second in which the processors have nothing to do.
func quiet(t *timed) {
	idle := func() (idle, all int64) {
		b, _ := os.ReadFile("/proc/stat")
		var n [8]int64 // user nice system idle iowait irq softirq steal
		_, _ = fmt.Sscanf(string(b), "cpu %d %d %d %d %d %d %d %d", &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7])
		for _, x := range n {
			all += x
		}
		return n[3] + n[4], all
	}
	for range 100 {
		before, since := idle()
		time.Sleep(100 * time.Millisecond)
		after, now := idle()
		if 100*(after-before) >= 85*(now-since) {
			return
		}
	}
	t.busy++
}

func (t *timed) time(f func()) {
	start := time.Now()
	f()
	t.took = append(t.took, time.Since(start))
}

func (t *timed) median() time.Duration { return median(t.took) }

func median(all []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(all))
	return s[len(s)/2]
}

func row(b *testing.B, name string, value float64, unit, promise string) {
	fmt.Printf("%-64s %8.2f %-6s %s\n", name, value, unit, promise)
	b.ReportMetric(value, strings.ReplaceAll(strings.TrimSpace(name), " ", "_")+"_"+unit)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// BenchmarkMemory compares ten paused copies with three booted machines.
func BenchmarkMemory(b *testing.B) {
	cold, o := lab(b), warm(b)
	cold.Dir = filepath.Join(b.TempDir(), "state")
	c, p := open(b, cold), open(b, o)
	for b.Loop() {
		sum := func(n int, name string, make func(compute.ID) int) (total int64) {
			for i := range n {
				total += memory(make(compute.ID(fmt.Sprintf("suite-%s-%d", name, i))))
			}
			return total
		}
		for i := range 10 {
			create(b, p, compute.ID(fmt.Sprintf("suite-paused-%d", i)))
		}
		for i := range 10 {
			rehearsed(b, p, compute.ID(fmt.Sprintf("suite-paused-%d", i)))
		}
		paused := sum(10, "paused", func(id compute.ID) int { pid, _ := p.PID(id); return pid })
		for i := range 3 {
			id := compute.ID(fmt.Sprintf("suite-booted-%d", i))
			create(b, c, id)
			first(b, connect(b, c, id))
		}
		booted := sum(3, "booted", func(id compute.ID) int { pid, _ := c.PID(id); return pid })
		fmt.Println()
		row(b, "memory of 10 paused copies / of 3 booted machines", float64(paused)/float64(booted), "x", "< 1")
		row(b, "memory of a paused copy", float64(paused)/10/(1<<20), "MiB", "")
		row(b, "memory of a booted machine", float64(booted)/3/(1<<20), "MiB", "")
		for i := range 10 {
			destroy(b, p, compute.ID(fmt.Sprintf("suite-paused-%d", i)))
		}
		for i := range 3 {
			destroy(b, c, compute.ID(fmt.Sprintf("suite-booted-%d", i)))
		}
	}
}

func first(b *testing.B, c compute.Conn) {
	b.Helper()
	if exit, err := c.Run(b.Context(), &compute.Command{Args: []string{"true"}}); err != nil || exit.Status() != 0 {
		b.Fatalf("exit = %v, err = %v; want no error and exit.Status() == 0", exit, err)
	}
}
