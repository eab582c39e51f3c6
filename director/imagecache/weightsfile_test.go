package imagecache_test

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
)

// TestWeightsFile has the file missing, broken, and changed between decisions: what was read last
// counts.
func TestWeightsFile(t *testing.T) {
	f := &metal.Fleet{Flavors: []string{"io"}, Images: []metal.Image{{ID: "a1", Name: "a"}, {ID: "b1", Name: "b"}}}
	for _, id := range []string{"n1", "n2", "n3", "n4"} {
		f.Nodes = append(f.Nodes, metal.Node{ID: id, Flavor: "io"})
	}
	var log bytes.Buffer
	file := filepath.Join(t.TempDir(), "weights.json")
	w := &strategy.WithWeights{
		Proportional: strategy.Proportional{Share: 1, Weights: strategy.Weights{Default: 1}}, File: file,
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	if err := w.Check(); err == nil || !strings.Contains(err.Error(), "image_weights_filename") || !strings.Contains(err.Error(), file) {
		t.Errorf("a file that is not there: %v", err)
	}
	for _, step := range []struct {
		what, text string
		want       map[string]int
		says       string // in the log, once for all decisions of the step
	}{
		{"missing", "", map[string]int{"a1": 2, "b1": 2}, "cannot be read"},
		{"there", `{"a": 3}`, map[string]int{"a1": 3, "b1": 1}, ""},
		{"changed", `{"a": 0, "b": 1}`, map[string]int{"b1": 4}, "have changed"},
		{"Arsenal's example, which is not JSON", `{'a': 3}`, map[string]int{"b1": 4}, "not JSON"},
		{"a bad weight", `{"a": -1}`, map[string]int{"b1": 4}, `\"a\": -1: not a whole number`},
		{"gone", "", map[string]int{"b1": 4}, "no such file"},
		{"by flavor", `{"io": {"a": 3}, "other": {"b": 1000}}`, map[string]int{"a1": 3, "b1": 1}, "have changed"},
	} {
		log.Reset()
		if step.text == "" {
			_ = os.Remove(file)
		} else if err := os.WriteFile(file, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			plan, err := w.Plan(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]int{}
			for _, write := range plan.Cache["io"] {
				got[write.Image]++
			}
			if !maps.Equal(got, step.want) {
				t.Errorf("%s: %v, want %v", step.what, got, step.want)
			}
		}
		if n := strings.Count(log.String(), "\n"); step.says == "" && n > 0 ||
			step.says != "" && (n != 1 || !strings.Contains(log.String(), step.says)) {
			t.Errorf("%s: the log says\n%s", step.what, log.String())
		}
	}
}

// TestWeightsNoFile has a pipe that nobody writes to, a directory and a file without end in the
// file's place: each is refused at once.
func TestWeightsNoFile(t *testing.T) {
	dir := t.TempDir()
	pipe, large := filepath.Join(dir, "pipe"), filepath.Join(dir, "large")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(large)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(1<<40), f.Close()); err != nil {
		t.Skipf("no large files here: %v", err)
	}
	for file, want := range map[string]string{pipe: "it is no file", dir: "it is no file", large: "it is larger than 16 MiB"} {
		w := &strategy.WithWeights{Proportional: strategy.Proportional{Share: 1, Weights: strategy.Weights{Default: 1}}, File: file}
		if err := w.Check(); err == nil || !strings.Contains(err.Error(), file+": "+want) {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
}
