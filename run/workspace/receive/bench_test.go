package receive_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/remote/process"
	"github.com/hostler-project/hostler/run/workspace/receive"
	"github.com/hostler-project/hostler/run/workspace/scan"
	"github.com/hostler-project/hostler/run/workspace/send"
)

// spent is the CPU time of this process so far.
func spent(b *testing.B) time.Duration {
	b.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// BenchmarkSync brings a workspace of 5,000 files up to date of which none has changed, or one, and
// reports what both sides take of the CPU for it, which the machine's load changes least.
func BenchmarkSync(b *testing.B) {
	tr := tree{}
	for i := range 5000 {
		tr[fmt.Sprintf("part%d/sub%d/file%d.go", i/500, i/50, i)] = strings.Repeat(fmt.Sprint(i), 50)
	}
	list := tr.write(b)
	conn := receive.New(process.New(process.Options{KeepEnv: true}), receive.Options{Dir: filepath.Join(b.TempDir(), "spaces")})
	defer conn.Close()
	opt := send.Options{Key: "w", Who: "the benchmark", State: filepath.Join(b.TempDir(), "state")}
	once := func() {
		session, err := send.Begin(b.Context(), conn, opt)
		if err != nil {
			b.Fatal(err)
		}
		defer session.Close()
		if _, err := session.Sync(b.Context(), list); err != nil {
			b.Fatal(err)
		}
	}
	once()
	for _, changed := range []int{0, 1} {
		b.Run(fmt.Sprintf("changed=%d", changed), func(b *testing.B) {
			began := spent(b)
			for b.Loop() {
				for i := range changed {
					list.Entries[i].Mode ^= 0o111
				}
				list.ID = scan.ID(list.Entries)
				once()
			}
			b.ReportMetric(float64((spent(b)-began).Microseconds())/1e3/float64(b.N), "cpu-ms/op")
		})
	}
}

// BenchmarkLargeTree takes 100,000 files of ten contents there for the first time, and looks at
// them again, and reports the CPU time of both sides for each, and how much memory is in use then.
// With -short they are 5,000.
func BenchmarkLargeTree(b *testing.B) {
	n := 100_000
	if testing.Short() {
		n = 5_000
	}
	few := tree{}
	for i := range 10 {
		few[fmt.Sprintf("0/%d", i)] = strings.Repeat(fmt.Sprint(i), 1000)
	}
	list := few.write(b)
	for i := range n - len(few) {
		e := list.Entries[i%len(few)]
		e.Path = fmt.Sprintf("1/%03d/%03d", i/200, i%200)
		list.Entries = append(list.Entries, e)
	}
	list.ID = scan.ID(list.Entries)
	conn := receive.New(process.New(process.Options{KeepEnv: true}), receive.Options{Dir: filepath.Join(b.TempDir(), "spaces")})
	defer conn.Close()
	opt := send.Options{Key: "w", Who: "the benchmark", Compress: true, State: filepath.Join(b.TempDir(), "state")}
	once := func(name string, written int) {
		began := spent(b)
		session, err := send.Begin(b.Context(), conn, opt)
		if err != nil {
			b.Fatal(err)
		}
		defer session.Close()
		res, err := session.Sync(b.Context(), list)
		if err != nil || res.Written != written {
			b.Fatalf("%s: res = %+v, err = %v; want no error and res.Written == written", name, res, err)
		}
		b.ReportMetric(float64((spent(b) - began).Milliseconds()), name+"-cpu-ms")
		b.ReportMetric(float64(res.Sent)/1024, name+"-KiB-sent")
	}
	for b.Loop() {
		opt.Fresh = true
		once("first", n)
		opt.Fresh = false
		once("unchanged", 0)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	b.ReportMetric(float64(memory.HeapSys)/(1<<20), "heap-MiB")
}
