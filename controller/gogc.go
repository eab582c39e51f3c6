package controller

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

const (
	smallHeap        = 32 << 20 // bytes in use
	smallHeapPercent = 300      // per cent of the heap, before a collection
	usualPercent     = 100
	largeHeap        = 96 << 20
	largeHeapPercent = 25
)

// gcPercent returns GOGC for a live heap. Requests leave garbage, and a collection costs as much as
// the heap is large. With a small heap it is worth collecting seldom; with a large one memory
// counts more.
func gcPercent(live uint64) int {
	switch {
	case live < smallHeap:
		return smallHeapPercent
	case live > largeHeap:
		return largeHeapPercent
	}
	return usualPercent
}

// TuneGC keeps GOGC at that value, adjusted after each collection, until stop is called.
// A GOGC in the environment is respected.
func TuneGC() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	ctx, end := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		now := usualPercent
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		collected := make(chan struct{}, 1)
		for {
			if metrics.Read(live); live[0].Value.Kind() == metrics.KindUint64 {
				if want := gcPercent(live[0].Value.Uint64()); want != now {
					now = want
					debug.SetGCPercent(want)
				}
			}
			// wait for the next collection
			runtime.AddCleanup(&struct{ *byte }{}, func(next chan<- struct{}) { next <- struct{}{} }, collected)
			select {
			case <-ctx.Done():
				return
			case <-collected:
			}
		}
	})
	return func() { end(); all.Wait() }
}
