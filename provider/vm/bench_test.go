//go:build linux

package vm_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// BenchmarkVM measures what a warm machine costs against the cold boot of the same image in the same run. Times depend on how busy the machine is, and
// without KVM on its processor: the ratios count. cpu-ms are of qemu's own.
func BenchmarkVM(b *testing.B) {
	cold := lab(b)
	cold.Dir = filepath.Join(b.TempDir(), "state")
	c := open(b, cold)
	began := time.Now()
	create(b, c, "suite-cold")
	first(b, connect(b, c, "suite-cold"))
	boot := time.Since(began)

	o := warm(b)
	o.Memory = cold.Memory
	p := open(b, o)
	var restored, used, again, cleaned, cpu []time.Duration
	for b.Loop() {
		for n := range 5 {
			id := compute.ID(fmt.Sprintf("suite-%d", n))
			began := time.Now()
			if _, err := p.Create(b.Context(), compute.Spec{ID: id}); err != nil {
				b.Fatal(err)
			}
			restored = append(restored, time.Since(began))
			pid, _ := p.PID(id)
			before, _ := spent(pid)
			began = time.Now()
			conn, err := p.Connect(b.Context(), id)
			if err != nil {
				b.Fatal(err)
			}
			first(b, conn)
			used = append(used, time.Since(began))
			after, _ := spent(pid)
			cpu = append(cpu, after-before)
			began = time.Now()
			first(b, conn)
			again = append(again, time.Since(began))
			conn.Close()
			began = time.Now()
			if _, err := p.Clean(b.Context(), id); err != nil {
				b.Fatal(err)
			}
			cleaned = append(cleaned, time.Since(began))
			destroy(b, p, id)
		}
	}
	b.ReportMetric(boot.Seconds()*1000, "boot-ms")
	for name, all := range map[string][]time.Duration{"restored": restored, "first-command": used, "command": again, "cleaned": cleaned} {
		b.ReportMetric(median(all).Seconds()*1000, name+"-ms")
		b.ReportMetric(boot.Seconds()/median(all).Seconds(), name+"-times-faster")
	}
	b.ReportMetric(median(cpu).Seconds()*1000, "first-command-cpu-ms")
}

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
		paused := sum(10, "paused", func(id compute.ID) int { pid, _ := p.PID(id); return pid })
		for i := range 3 {
			id := compute.ID(fmt.Sprintf("suite-booted-%d", i))
			create(b, c, id)
			first(b, connect(b, c, id))
		}
		booted := sum(3, "booted", func(id compute.ID) int { pid, _ := c.PID(id); return pid })
		b.ReportMetric(float64(paused)/(1<<20), "10-paused-MiB")
		b.ReportMetric(float64(booted)/(1<<20), "3-booted-MiB")
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
		b.Fatal(exit, err)
	}
}

func median(all []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(all))
	return s[len(s)/2]
}
