package bundle_test

import (
	"os"
	"runtime"
	"testing"

	"github.com/hostler-project/hostler/bundle"
)

// TestMemory: what an apply allocates here does not grow with the files that it sends, be they
// looked at, written or unchanged.
func TestMemory(t *testing.T) {
	p := newPlace(t)
	dir := p.path("bundle")
	if err := os.MkdirAll(dir+"/files", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/files/image", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	allocated := func(size int64) uint64 {
		if err := os.Truncate(dir+"/files/image", size); err != nil { // it is all holes
			t.Fatal(err)
		}
		set := bundle.Set{"b": bundle.Parse(
			"b", "b/bundle.conf", []bundle.Entry{{Key: "files", Text: p.path("image"), File: "b/bundle.conf", Line: 1}},
			os.DirFS(dir),
		)}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, want := range []string{"image done", "image unchanged"} {
			if r, err := p.apply(t, plan(t, set, bundle.PlanOptions{}, "b"), bundle.ApplyOptions{}); err != nil || actions(r) != want {
				t.Fatalf("%d bytes: %s, %v", size, actions(r), err)
			}
		}
		runtime.ReadMemStats(&after)
		if info, err := os.Stat(p.path("image")); err != nil || info.Size() != size {
			t.Fatalf("%d bytes: %v, %v", size, info, err)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	const large = 32 << 20
	allocated(1)
	small := allocated(5 << 20) // which goes by itself as a larger one does
	if much := allocated(large); much > small+large/8 {
		t.Errorf("a file of %d bytes takes %d bytes of memory, one of %d %d", large, much, 5<<20, small)
	} else {
		t.Logf("a file of %d bytes takes %d bytes of memory, one of %d %d", large, much, 5<<20, small)
	}
}
