package agent_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
	"github.com/hostler-project/hostler/remote/process"
)

// The peak of the heap while a gigabyte runs through it is a small part of that.
func TestGigabyteInConstantMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("a gigabyte: -short")
	}
	c, _ := connect(t, newFake())
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	var most uint64
	var n int64
	w := writerFunc(func(p []byte) (int, error) {
		if n += int64(len(p)); n>>26 != (n-int64(len(p)))>>26 { // each 64 MiB
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
		return len(p), nil
	})
	const size = 1 << 30
	if _, err := c.Run(t.Context(), &compute.Command{Args: []string{"zeros", strconv.Itoa(size)}, Stdout: w}); err != nil || n != size {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if most > before.HeapAlloc+24<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before.HeapAlloc, most)
	}
	if err := c.Put(t.Context(), "/dev/null", io.LimitReader(zeroReader{}, 1<<20)); err != nil {
		t.Error(err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { return len(p), nil }

func BenchmarkTinyCommand(b *testing.B) {
	c, _ := connect(b, newFake())
	cmd := &compute.Command{Args: []string{"exit", "0"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Run(b.Context(), cmd); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTinyCommandOutput(b *testing.B) {
	c, _ := connect(b, newFake())
	cmd := &compute.Command{Args: []string{"echo", "hello", ""}, Stdout: io.Discard, Stderr: io.Discard}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Run(b.Context(), cmd); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTinyCommandParallel(b *testing.B) {
	c, _ := connect(b, newFake())
	cmd := &compute.Command{Args: []string{"exit", "0"}}
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Run(b.Context(), cmd); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// A new client for one command, as the keeper's clients do.
func BenchmarkOneCommandClient(b *testing.B) {
	f := newFake()
	cmd := &compute.Command{Args: []string{"exit", "0"}}
	for b.Loop() {
		x, y := pair(b)
		done := make(chan struct{})
		go func() { agent.Serve(context.Background(), y, f, agent.Options{}); close(done) }()
		c := agent.New(x)
		if _, err := c.Run(b.Context(), cmd); err != nil {
			b.Fatal(err)
		}
		c.Close()
		<-done
	}
}

func BenchmarkOutput(b *testing.B) {
	c, _ := connect(b, newFake())
	const size = 64 << 20
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Run(b.Context(), &compute.Command{Args: []string{"zeros", strconv.Itoa(size)}, Stdout: io.Discard}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInput(b *testing.B) {
	c, _ := connect(b, newFake())
	const size = 64 << 20
	b.SetBytes(size)
	for b.Loop() {
		in := io.LimitReader(zeroReader{}, size)
		if _, err := c.Run(b.Context(), &compute.Command{Args: []string{"cat"}, Stdin: in, Stdout: io.Discard}); err != nil {
			b.Fatal(err)
		}
	}
}

// Processes of this machine, through the protocol and without it.
func BenchmarkProcess(b *testing.B) {
	local := process.New(process.Options{})
	defer local.Close()
	through, _ := connect(b, local)
	cmd := &compute.Command{Args: []string{"true"}, Stdout: io.Discard, Stderr: io.Discard}
	for name, c := range map[string]compute.Conn{"direct": local, "agent": through} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := c.Run(b.Context(), cmd); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("fork-exec", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// The guest's program is built from this package: it must stay small and need nothing that is slow
// to start.
func TestImports(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		p, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(p), "\n)")
		for _, bad := range []string{
			`"encoding/json"`, `"encoding/gob"`, `"net/http"`, `"regexp"`, `"text/template"`, `"log/slog"`, `"os/exec"`,
		} {
			if strings.Contains(head, bad) {
				t.Errorf("%s imports %s", f.Name(), bad)
			}
		}
	}
}
