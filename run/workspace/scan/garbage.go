package scan

import (
	"os"
	"runtime"
	"runtime/debug"
)

// roomAtFirst is GOGC for the first collection: the heap may grow to 24 MiB.
const roomAtFirst = 600

// SpareFirstCollection delays the first collection, so that reading a tree of some thousand files
// ends before it. A collection would cost a quarter of that time. Later ones are as usual. A GOGC
// in the environment is respected.
func SpareFirstCollection() {
	if os.Getenv("GOGC") != "" {
		return
	}
	mark := &struct{ *byte }{}
	runtime.AddCleanup(mark, func(percent int) { debug.SetGCPercent(percent) }, defaultPercent)
	debug.SetGCPercent(roomAtFirst)
}

// defaultPercent is Go's default of GOGC.
const defaultPercent = 100
