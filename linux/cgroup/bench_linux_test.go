package cgroup_test

import (
	"context"
	"os"
	"strconv"
	"testing"

	"github.com/hostler-project/hostler/linux/cgroup"
)

func benchTree(b *testing.B) *cgroup.Tree {
	tr, err := cgroup.Find("hostler-bench-" + strconv.Itoa(os.Getpid()))
	if err != nil {
		b.Fatal(err)
	}
	if err := tr.Can().Memory; err != nil {
		b.Skip("cgroup: ", err)
	}
	b.Cleanup(func() {
		for _, id := range tr.List() {
			if g, err := tr.Open(id); err == nil {
				_ = g.Remove(context.Background())
				_ = g.Close()
			}
		}
		if err := tr.Remove(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return tr
}

func BenchmarkFind(b *testing.B) {
	for b.Loop() {
		if _, err := cgroup.Find("hostler-bench"); err != nil {
			b.Fatal(err)
		}
	}
}

// Three limits, made and removed; Floor is mkdir and rmdir of the same directories and nothing
// else.
func BenchmarkMakeRemove(b *testing.B) {
	tr := benchTree(b)
	for b.Loop() {
		g, err := tr.Make(context.Background(), "one", cgroup.Limits{CPU: 1, Memory: 64 << 20, PIDs: 100})
		if err != nil {
			b.Fatal(err)
		}
		if err := g.Remove(context.Background()); err != nil {
			b.Fatal(err)
		}
		_ = g.Close()
	}
}

func BenchmarkMakeOnly(b *testing.B) {
	tr := benchTree(b)
	i := 0
	for b.Loop() {
		i++
		g, err := tr.Make(context.Background(), strconv.Itoa(i), cgroup.Limits{CPU: 1, Memory: 64 << 20, PIDs: 100})
		if err != nil {
			b.Fatal(err)
		}
		_ = g.Close()
	}
}

func BenchmarkFloor(b *testing.B) {
	tr := benchTree(b)
	g, err := tr.Make(context.Background(), "one", cgroup.Limits{CPU: 1, Memory: 64 << 20, PIDs: 100})
	if err != nil {
		b.Fatal(err)
	}
	dirs := g.Dirs()
	_ = g.Close()
	for b.Loop() {
		for _, d := range dirs {
			_ = os.Mkdir(d+"x", 0o755)
		}
		for _, d := range dirs {
			_ = os.Remove(d + "x")
		}
	}
}

func BenchmarkStart(b *testing.B) {
	tr := benchTree(b)
	g, err := tr.Make(context.Background(), "one", cgroup.Limits{CPU: 1, Memory: 64 << 20, PIDs: 100})
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	for b.Loop() {
		if err := g.Start(func() error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
