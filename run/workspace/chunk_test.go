package workspace_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/hostler-project/hostler/run/workspace"
)

const (
	least = 32 << 10
	most  = workspace.MaxBlock
)

func noise(r *rand.ChaCha8, n int) []byte {
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}

// cut cuts b, sees that the chunks are as they should be, and returns them.
func cut(t testing.TB, b []byte, read func(io.Reader) io.Reader) (all []workspace.Chunk) {
	t.Helper()
	var whole []byte
	short := false
	err := workspace.Cut(read(bytes.NewReader(b)), func(p []byte) error {
		if short || len(p) == 0 || len(p) > most {
			t.Errorf("a chunk of %d bytes after %d, of %d", len(p), len(whole), len(b))
		}
		short = len(p) < least
		whole = append(whole, p...)
		all = append(all, workspace.ChunkOf(p))
		return nil
	})
	if err != nil || !bytes.Equal(whole, b) {
		t.Errorf("%d bytes came back as %d, %v", len(b), len(whole), err)
	}
	return all
}

func plain(r io.Reader) io.Reader { return r }

// TestCut cuts contents of all kinds of lengths, however they are read, and sees that an edit
// leaves nearly all chunks as they were.
func TestCut(t *testing.T) {
	from := rand.NewChaCha8([32]byte{1})
	r := rand.New(from)
	for _, n := range []int{0, 1, least - 1, least, least + 1, most - 1, most, most + 1, 2 * most, 2*most + 1} {
		for what, b := range map[string][]byte{"noise": noise(from, n), "zeros": make([]byte, n)} {
			if !slices.Equal(cut(t, b, plain), cut(t, b, iotest.HalfReader)) {
				t.Errorf("%s of %d bytes are cut as they are read", what, n)
			}
		}
	}
	before := noise(from, 2<<20)
	chunks := cut(t, before, plain)
	if n := len(chunks); n < 15 || n > 50 {
		t.Errorf("2 MiB have %d chunks", n)
	}
	there := make(map[workspace.Chunk]bool)
	for _, c := range chunks {
		there[c] = true
	}
	for range 6 {
		at, gone := r.IntN(len(before)-100), r.IntN(100)
		after := slices.Concat(before[:at], noise(from, r.IntN(100)), before[at+gone:])
		var other int
		for _, c := range cut(t, after, plain) {
			if !there[c] {
				other++
			}
		}
		if other > 8 {
			t.Errorf("one edit at %d makes %d other chunks", at, other)
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Add([]byte("a"), uint32(1))
	f.Add([]byte("some text\n"), uint32(100_000))
	f.Fuzz(func(t *testing.T, b []byte, n uint32) {
		if len(b) > 0 {
			b = bytes.Repeat(b, int(n%(1<<20))/len(b)+1)
		}
		cut(t, b, plain)
	})
}
