package service

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/pool"
)

// TestEngines keeps one engine as long as the configuration is the same. When that is another
// the earlier one is closed, and so when something has failed, but not before what runs has ended.
func TestEngines(t *testing.T) {
	h, dir := keeperHost(t)
	source := func(text string) {
		at := filepath.Join(dir, ".config", "hostler", "sources", "web")
		if err := os.MkdirAll(filepath.Join(at, "discard.d"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(at, "source.conf"), []byte("type = fake\n"+text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	source("")
	if _, err := h.Engine(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := newEngines(h)
	var all sync.WaitGroup
	closed := map[*pool.Pool]int{}
	due := func() *pool.Pool {
		t.Helper()
		if _, err := d.due(t.Context(), all.Go, func() {}); err != nil {
			t.Fatal(err)
		}
		all.Wait()
		engine := d.now.Opened()
		if _, ok := closed[engine]; !ok {
			closed[engine] = 0
			d.now.OnClose(func() { closed[engine]++ })
		}
		return engine
	}
	first := due()
	if due() != first || closed[first] != 0 {
		t.Error("the same configuration has another engine")
	}

	source("maximum = 3\n")
	wait, ended := make(chan struct{}), make(chan struct{})
	d.counted(func(do func()) { go func() { do(); close(ended) }() })(func() { <-wait })
	second := due()
	if second == first || closed[first] != 0 {
		t.Errorf(
			"another configuration: another engine: %v; the first was closed %d times while something ran",
			second != first, closed[first],
		)
	}
	d.failed = true
	if due() != second {
		t.Error("engines pile up while something runs")
	}
	close(wait)
	<-ended
	if closed[first] != 1 || closed[second] != 0 {
		t.Errorf("when nothing ran any more: the first was closed %d times, the second %d times", closed[first], closed[second])
	}
	third := due()
	if third == second || closed[second] != 1 {
		t.Errorf("after a failure: another engine: %v; the second was closed %d times", third != second, closed[second])
	}

	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { d.oversee(ctx); close(over) }()
	stop()
	<-over
	d.close()
	if closed[first] != 1 || closed[second] != 1 || closed[third] != 1 {
		t.Errorf("in the end they were closed %d, %d and %d times", closed[first], closed[second], closed[third])
	}
}
