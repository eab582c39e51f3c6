//go:build linux

package mask_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/provider/sandbox/mask"
)

func BenchmarkMake(b *testing.B) {
	dir, err := os.MkdirTemp("/dev/shm", "mask")
	if err != nil {
		b.Skip(err)
	}
	defer os.RemoveAll(dir)
	o := mask.Options{Home: os.Getenv("HOME"), UID: os.Getuid()}
	m, err := mask.Make(b.Context(), dir, o)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("hit", func(b *testing.B) {
		b.ReportMetric(float64(len(m.Rules)), "rules")
		for b.Loop() {
			if _, err := mask.Make(b.Context(), dir, o); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("unsure", func(b *testing.B) { // a directory changed, the layer is the same
		for b.Loop() {
			rules, err := mask.Rules(o)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := mask.Build(b.Context(), dir, "", rules); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("made", func(b *testing.B) {
		for b.Loop() {
			if err := os.RemoveAll(filepath.Dir(m.Layer)); err != nil {
				b.Fatal(err)
			}
			if _, err := mask.Build(b.Context(), dir, "", m.Rules); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// make_ makes a mask as who would, in a process of his own.
func make_(t *testing.T, who person, layers string, o mask.Options) mask.Mask {
	t.Helper()
	var m mask.Mask
	out := child(t, who, false, "make", map[string]any{"dir": layers, "options": o})
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatalf("%v: out = %s; want no error", err, out)
	}
	return m
}
