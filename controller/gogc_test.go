package controller

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

// TestGarbage: with little in use there may be much garbage, and less where there is much.
func TestGarbage(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, smallHeapPercent}, {smallHeap - 1, smallHeapPercent}, {smallHeap, usualPercent}, {largeHeap, usualPercent},
		{largeHeap + 1, largeHeapPercent}, {1 << 30, largeHeapPercent},
	} {
		if got := gcPercent(c.live); got != c.want {
			t.Errorf("with %d bytes in use: %d%%, want %d%%", c.live, got, c.want)
		}
	}
}

// TestSpareCollections: the collector is told after each collection how much garbage there may be
// next.
func TestSpareCollections(t *testing.T) {
	if os.Getenv("GOGC") != "" {
		t.Skip("GOGC is set")
	}
	was := debug.SetGCPercent(usualPercent)
	defer debug.SetGCPercent(was)
	percent := func() uint64 {
		now := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(now)
		return now[0].Value.Uint64()
	}
	reaches := func(want uint64) {
		t.Helper()
		for percent() != want { // until the test's time is up
			runtime.GC()
			runtime.Gosched()
		}
	}
	defer TuneGC()()
	much := make([]byte, largeHeap+largeHeap/2)
	reaches(largeHeapPercent)
	runtime.KeepAlive(much)
	reaches(smallHeapPercent)
}
