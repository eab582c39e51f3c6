package scan_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hostler-project/hostler/run/workspace/scan"
)

// BenchmarkScan scans 5,000 files of a git work tree of which none has changed, and beside each
// scan looks at the same files with nothing but lstat, and has git list them. It prints the medians
// in milliseconds, and how many times the scan takes what each of the two takes.
func BenchmarkScan(b *testing.B) {
	git, err := exec.LookPath("git")
	if err != nil {
		b.Skip("no git here")
	}
	base, err := filepath.EvalSymlinks(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	dir := filepath.Join(base, "tree")
	run := func(words ...string) {
		cmd := exec.Command(git, words...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("git %v: %v: %s", words, err, out)
		}
	}
	var names []string
	for i := range 5000 {
		name := filepath.Join(dir, fmt.Sprintf("part%d/sub%d/file%d.go", i/500, i/50, i))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(name, bytes.Repeat([]byte(name), 8), 0o644); err != nil {
			b.Fatal(err)
		}
		names = append(names, name)
	}
	run("init", "-q")
	run("add", "-A")
	opt := scan.Options{Dir: dir, Home: base + "/home", Cache: filepath.Join(base, "trees")}
	look := func() {
		tree, err := scan.Scan(b.Context(), opt)
		if err != nil {
			b.Fatal(err)
		}
		if len(tree.Entries) != len(names) {
			b.Fatalf("%d entries", len(tree.Entries))
		}
	}
	opt = opt.At(later())
	look()
	opt = opt.At(time.Time{})
	var scans, stats, lists []time.Duration
	measure := func(to *[]time.Duration, f func()) {
		start := time.Now()
		f()
		*to = append(*to, time.Since(start))
	}
	for b.Loop() {
		measure(&scans, look)
		b.StopTimer()
		measure(&stats, func() {
			for _, name := range names {
				if _, err := os.Lstat(name); err != nil {
					b.Fatal(err)
				}
			}
		})
		measure(&lists, func() { run("ls-files", "-co", "--exclude-standard", "-z") })
		b.StartTimer()
	}
	median := func(d []time.Duration) float64 {
		slices.Sort(d)
		return d[len(d)/2].Seconds() * 1e3
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(scans), "scan-ms")
	b.ReportMetric(median(stats), "lstat-ms")
	b.ReportMetric(median(lists), "git-ms")
	b.ReportMetric(median(scans)/median(stats), "x-lstat")
	b.ReportMetric(median(scans)/median(lists), "x-git")
}
