//go:build linux

package sandbox_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox"
)

func TestBounds(t *testing.T) {
	for _, c := range []struct {
		o    sandbox.Options
		says string
	}{
		{sandbox.Options{Disk: 1 << 10}, "disk = 1K: at least 1M"},
		{sandbox.Options{Disk: -1}, "disk = -1: at least 1M"},
		{sandbox.Options{Memory: 1536 << 10}, "memory = 1.5M: at least 32M"},
		{sandbox.Options{Memory: -1}, "memory = -1: at least"},
		{sandbox.Options{Memory: 1 << 60}, "memory = 1E: at most"},
		{sandbox.Options{Cores: -0.5}, "cores = -0.5: more than 0"},
		{sandbox.Options{Cores: 100_000}, "that this machine has"},
		{sandbox.Options{PIDs: 31}, "pids = 31: at least 64"},
		{sandbox.Options{PIDs: -1}, "pids = -1: at least 64"},
	} {
		c.o.Source, c.o.Installation, c.o.Dir, c.o.Agent = "suite", mine(), t.TempDir(), built
		_, err := sandbox.Open(t.Context(), slog.New(slog.DiscardHandler), c.o)
		if !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want %q", err, c.says)
		}
	}
}

// TestFullAtOnce makes one whose own layer has no room for what belongs there. Nobody who gives something back helps, so it must not be waited for.
func TestFullAtOnce(t *testing.T) {
	p := open(t, sandbox.Options{Dir: t.TempDir()})
	p.SetDisk(4 << 10)
	_, err := p.Create(t.Context(), compute.Spec{ID: "full"})
	defer func() { _ = p.Destroy(t.Context(), "full") }()
	if !errors.Is(err, compute.ErrFailed) || errors.Is(err, compute.ErrNoCapacity) || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("got %v, want that there is no space left", err)
	}
}
