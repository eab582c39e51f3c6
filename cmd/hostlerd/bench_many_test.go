package main

import (
	"testing"
)

// BenchmarkMany has a command on 32 fake instances at once beside the same on one after the other,
// which is the floor of what waits, and no more.
func BenchmarkMany(b *testing.B) {
	m := newMachine(b)
	m.source("farm", "type = fake\nmaximum = 40\n[fake]\nrun = exec\n")
	run := func(args ...string) func() error {
		return func() error {
			m.must(append(append([]string{"run", "farm", "-q"}, args...), "--", "sleep", "0.1")...)
			return nil
		}
	}
	atOnce := &timed{name: "on-32", run: run("--on", "32")}
	inTurns := &timed{name: "one-after-the-other", run: run("--shards", "32", "--max-parallel", "1")}
	inTurn(b, 3, atOnce, inTurns)
	b.ReportMetric(atOnce.median().Seconds(), "s-at-once")
	b.ReportMetric(float64(atOnce.median())/float64(inTurns.median()), "x-one-after-the-other")
}
