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
	littleHeap    = 32 << 20 // bytes in use
	littleGarbage = 300      // per cent of them, before it is collected
	usualGarbage  = 100
	largeHeap     = 96 << 20
	largeGarbage  = 25
)

// garbage is how much of it there may be, in per cent of what is in use: requests leave some each,
// and to collect it costs as much as what is in use is large. With little in use that is done
// seldom; with much, memory counts for more.
func garbage(live uint64) int {
	switch {
	case live < littleHeap:
		return littleGarbage
	case live > largeHeap:
		return largeGarbage
	}
	return usualGarbage
}

// SpareCollections keeps the collector at that, from one collection to the next, until stop is
// called. What the user says in GOGC holds.
func SpareCollections() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	ctx, end := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		now := usualGarbage
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		collected := make(chan struct{}, 1)
		for {
			if metrics.Read(live); live[0].Value.Kind() == metrics.KindUint64 {
				if want := garbage(live[0].Value.Uint64()); want != now {
					now = want
					debug.SetGCPercent(want)
				}
			}
			// at the next collection
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

// roomAtFirst is by how much of what it is anyway the heap may grow before its first collection: to
// 24 MiB.
const roomAtFirst = 600

// SpareFirstCollection lets a look at a tree of some thousand files end before the heap is
// collected for the first time, which costs a quarter of it. From then on all is as ever. What the
// user says in GOGC holds.
func SpareFirstCollection() {
	if os.Getenv("GOGC") != "" {
		return
	}
	mark := &struct{ *byte }{}
	runtime.AddCleanup(mark, func(percent int) { debug.SetGCPercent(percent) }, defaultPercent)
	debug.SetGCPercent(roomAtFirst)
}

// defaultPercent is Go's.
const defaultPercent = 100
