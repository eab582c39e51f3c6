package computetest

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
)

// huge returns the length of the large streams.
func (t *connTest) huge() int64 {
	if testing.Short() {
		return 64 << 20
	}
	return cmp.Or(t.opt.Huge, muchData)
}

// mostGrowth is how much memory a stream of any length may use.
const mostGrowth = 48 << 20

// meter counts bytes, checks that they are zeros where wanted, and watches the memory of this
// process.
type meter struct {
	n, next    int64
	base, most uint64
	nonzero    bool
}

func newMeter() *meter {
	runtime.GC()
	return &meter{base: heap()}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

var zeroBlock [64 << 10]byte

// count adds b to what came through, and samples the heap every 16 MiB.
func (m *meter) count(b []byte) {
	m.n += int64(len(b))
	for rest := b; len(rest) > 0; {
		k := min(len(rest), len(zeroBlock))
		m.nonzero = m.nonzero || !bytes.Equal(rest[:k], zeroBlock[:k])
		rest = rest[k:]
	}
	if m.n >= m.next {
		m.next = m.n + 16<<20
		m.most = max(m.most, heap())
	}
}

func (m *meter) Write(b []byte) (int, error) {
	m.count(b)
	return len(b), nil
}

// check fails the test unless want bytes came through and memory stayed within mostGrowth.
func (m *meter) check(t *connTest, want int64) {
	t.Helper()
	if m.n != want {
		t.Errorf("%d bytes came through, want %d", m.n, want)
	}
	if m.most > m.base+mostGrowth {
		t.Errorf("memory grew from %d to %d MiB on the way", m.base>>20, m.most>>20)
	}
}

// zeroReader reads as n zeros.
type zeroReader struct {
	left  int64
	meter *meter
}

// Read gives zeros until none are left.
func (z *zeroReader) Read(b []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), z.left)]
	clear(b)
	z.left -= int64(len(b))
	z.meter.count(b)
	return len(b), nil
}

func allBytes() []byte {
	b := make([]byte, 1<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return append(b, "\x00\x03\x04\x11\x13\x1a\x1c\r\n\xff~.\n"...)
}

var streamCases = []connCase{
	{"BinaryStreams", func(t *connTest) {
		data := allBytes()
		r := t.run(compute.Command{Args: []string{"cat"}, Stdin: bytes.NewReader(data)})
		if r.out != string(data) || r.err != "" {
			t.Errorf("stdin to stdout: %d bytes became %d, or others; stderr %q", len(data), len(r.out), r.err)
		}
		r = t.run(compute.Command{Args: []string{"sh", "-c", "cat >&2"}, Stdin: bytes.NewReader(data)})
		if r.err != string(data) || r.out != "" {
			t.Errorf("stdin to stderr: %d bytes became %d, or others; stdout %q", len(data), len(r.err), r.out)
		}
	}},
	{"HugeOutput", func(t *connTest) {
		m := newMeter()
		t.run(compute.Command{Args: []string{"head", "-c", fmt.Sprint(t.huge()), "/dev/zero"}, Stdout: m})
		m.check(t, t.huge())
		if m.nonzero {
			t.Error("what came is not what was sent")
		}
	}},
	{"HugeInput", func(t *connTest) {
		m := newMeter()
		r := t.run(compute.Command{Args: []string{"wc", "-c"}, Stdin: &zeroReader{t.huge(), m}})
		t.same("bytes that arrived", strings.TrimSpace(r.out), fmt.Sprint(t.huge()))
		m.check(t, t.huge())
	}},
	{"EndlessInput", func(t *connTest) {
		r := t.run(compute.Command{Args: []string{"sh", "-c", "echo done; exit 3"}, Stdin: endless(t)})
		if r.out != "done\n" || r.exit.Code != 3 {
			t.Errorf("got %+v", r)
		}
	}},
	{"UnreadInput", func(t *connTest) {
		m := newMeter()
		r := t.run(compute.Command{Args: []string{"sh", "-c", "head -c 1 >/dev/null; echo done"}, Stdin: &zeroReader{8 << 20, m}})
		t.same("output", r.out, "done\n")
	}},
	// a conversation: neither side may wait for a buffer to fill
	{"InputBeforeOutput", func(t *connTest) {
		pr, pw := io.Pipe()
		t.Cleanup(func() { _ = pw.Close() })
		r := t.background(t.ctx(), compute.Command{Args: []string{"sh", "-c", `while read x; do echo "got $x"; done`}, Stdin: pr})
		for i := range 5 {
			if _, err := fmt.Fprintln(pw, i); err != nil {
				t.Fatal(err)
			}
			r.until(fmt.Sprintf("got %d\n", i))
		}
		_ = pw.Close()
		if exit, err := r.end(); err != nil || exit.Code != 0 {
			t.Errorf("got %+v, %v", exit, err)
		}
	}},
	// a reader that has gone ends the writer, as head does in a pipeline
	{"ClosedOutput", func(t *connTest) {
		cmd := compute.Command{Args: []string{"cat", "/dev/zero"}, Stdout: &limited{left: 1 << 20}}
		if exit, err := t.conn.Run(t.ctx(), &cmd); err == nil && exit == (compute.Exit{}) {
			t.Error("a command that could not write all exited with 0")
		}
	}},
	// a process that holds the output open does not hold the command
	{"LeftBehind", func(t *connTest) {
		r := t.run(compute.Command{Args: []string{"sh", "-c", "sleep 300 & echo $!"}})
		t.sh(`kill "$1" 2>/dev/null || :`, strings.TrimSpace(r.out))
	}},
}

// limited accepts so many bytes and then fails.
type limited struct{ left int }

func (l *limited) Write(b []byte) (int, error) {
	if l.left -= len(b); l.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}
