package tree_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/remote/tree"
)

func openRoot(t testing.TB, dir string) *os.Root {
	t.Helper()
	r, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// through packs name in src and unpacks it in dst.
func through(t *testing.T, src, name, dst string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tree.Pack(t.Context(), openRoot(t, src), name, &b); err != nil {
		t.Fatalf("Pack: %v", err)
	}
	if err := tree.Unpack(t.Context(), openRoot(t, dst), bytes.NewReader(b.Bytes()), tree.Options{}); err != nil {
		t.Fatalf("Unpack: %v", err)
	}
	return b.Bytes()
}

func stat(t *testing.T, name string) (fs.FileInfo, *syscall.Stat_t) {
	t.Helper()
	fi, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	return fi, fi.Sys().(*syscall.Stat_t)
}

func TestTreeRoundTrip(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	write(t, src+"/t/file", "F", 0o640)
	write(t, src+"/t/d/-rf \n\xff*", "odd", 0o755)
	write(t, src+"/t/setuid", "S", 0o755)
	long := strings.Repeat(strings.Repeat("x", 200)+"/", 12)
	write(t, src+"/t/linked", "L", 0o600)
	for _, err := range []error{
		os.Chmod(src+"/t/setuid", 0o755|fs.ModeSetuid), os.Link(src+"/t/linked", src+"/t/d/other"), os.Symlink("../file", src+"/t/d/link"),
		os.MkdirAll(src+"/t/"+long, 0o755), os.WriteFile(src+"/t/"+long+"f", []byte("deep"), 0o600),
		syscall.Mkfifo(src+"/t/fifo", 0o620), os.Chmod(src+"/t/fifo", 0o620),
		os.Mkdir(src+"/t/empty", 0o700), os.Chmod(src+"/t/empty", 0o1777|fs.ModeSticky), os.Chmod(src+"/t/d", 0o500),
		os.Chtimes(src+"/t/d", time.Unix(7, 9), time.Unix(7, 9)), os.Chtimes(src+"/t/file", time.Unix(-5, 1), time.Unix(-5, 1)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _, _ = os.Chmod(src+"/t/d", 0o700), os.Chmod(dst+"/t/d", 0o700) })
	through(t, src, "t", dst)
	err := filepath.WalkDir(src, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == src {
			return err
		}
		name, _ := filepath.Rel(src, p)
		a, _ := stat(t, p)
		b, err := os.Lstat(filepath.Join(dst, name))
		if err != nil {
			t.Errorf("err = %v; want no error", err)
			return nil
		}
		want := a.Mode() &^ fs.ModeSetuid // owners were not asked for, so nobody is to become us
		if want != b.Mode() || !a.ModTime().Equal(b.ModTime()) || !a.IsDir() && a.Size() != b.Size() {
			t.Errorf("%q: %v %v %d became %v %v %d", name, a.Mode(), a.ModTime(), a.Size(), b.Mode(), b.ModTime(), b.Size())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := stat(t, dst+"/t/linked")
	if b, _ := stat(t, dst+"/t/d/other"); !os.SameFile(a, b) {
		t.Error("the hard link became a copy")
	}
	if got, _ := os.ReadFile(dst + "/t/" + long + "f"); string(got) != "deep" {
		t.Errorf("the deep file has %q", got)
	}
}

// sparseFile makes a file with data at some places.
func sparseFile(t *testing.T, name string, size int64, at ...int64) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, off := range at {
		if _, err := f.WriteAt([]byte(fmt.Sprintf("data at %d", off)), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
}

func sum(t *testing.T, name string) [32]byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return [32]byte(h.Sum(nil))
}

func TestSparse(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	many := make([]int64, 300)
	for i := range many {
		many[i] = r.Int64N(64 << 20)
	}
	for name, c := range map[string]struct {
		size int64
		at   []int64
	}{
		"all hole": {100 << 20, nil}, "start": {100 << 20, []int64{0}}, "end": {100<<20 + 17, []int64{100 << 20}},
		"middle": {10 << 20, []int64{5<<20 + 3}},
		"many":   {64<<20 + 100, many}, "odd size": {1<<20 + 511, []int64{1<<20 + 500}},
	} {
		t.Run(name, func(t *testing.T) {
			src, dst := t.TempDir(), t.TempDir()
			sparseFile(t, src+"/a sparse\nfile", c.size, c.at...)
			_, had := stat(t, src+"/a sparse\nfile")
			if had.Blocks*512 > c.size/2 {
				t.Skip("sparse: this file system has no holes")
			}
			stream := through(t, src, "a sparse\nfile", dst)
			_, has := stat(t, dst+"/a sparse\nfile")
			if has.Size != c.size || sum(t, src+"/a sparse\nfile") != sum(t, dst+"/a sparse\nfile") {
				t.Errorf("%d bytes became %d, or others", c.size, has.Size)
			}
			if has.Blocks > had.Blocks+int64(len(c.at)+1)*128 {
				t.Errorf("%d blocks became %d", had.Blocks, has.Blocks)
			}
			if most := had.Blocks*512 + 64<<10; int64(len(stream)) > most {
				t.Errorf("the stream has %d bytes, for %d of data", len(stream), had.Blocks*512)
			}
			gnu, err := exec.LookPath("tar")
			if out, _ := exec.Command("tar", "--version").Output(); err != nil || !bytes.Contains(out, []byte("GNU")) {
				t.Skip("GNU tar: not here")
			}
			other := t.TempDir()
			x := exec.Command(gnu, "-xf", "-", "-C", other)
			x.Stdin = bytes.NewReader(stream)
			if out, err := x.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("GNU tar: %v: %s", err, out)
			}
			if sum(t, src+"/a sparse\nfile") != sum(t, other+"/a sparse\nfile") {
				t.Error("GNU tar reads other bytes")
			}
			for _, format := range []string{"gnu", "pax"} {
				made, err := exec.Command(gnu, "-C", src, "--sparse", "--format="+format, "-cf", "-", ".").Output()
				if err != nil {
					t.Fatal(err)
				}
				back := t.TempDir()
				if err := tree.Unpack(t.Context(), openRoot(t, back), bytes.NewReader(made), tree.Options{}); err != nil {
					t.Errorf("GNU tar's %s: %v", format, err)
				}
				if sum(t, src+"/a sparse\nfile") != sum(t, back+"/a sparse\nfile") {
					t.Errorf("GNU tar's %s: read other bytes", format)
				}
			}
		})
	}
}

// onWrite calls f once, when so much has been written.
type onWrite struct {
	io.Writer
	left int
	f    func()
}

func (o *onWrite) Write(b []byte) (int, error) {
	if o.left -= len(b); o.left < 0 && o.f != nil {
		o.f()
		o.f = nil
	}
	return o.Writer.Write(b)
}

func TestPackWhileItChanges(t *testing.T) {
	for name, change := range map[string]func(string) error{
		"shrank": func(p string) error { return os.Truncate(p, 100) },
		"grew":   func(p string) error { return os.Truncate(p, 20<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			src, dst := t.TempDir(), t.TempDir()
			write(t, src+"/t/changing", strings.Repeat("x", 10<<20), 0o600)
			write(t, src+"/t/steady", "S", 0o600)
			var b bytes.Buffer
			w := &onWrite{&b, 1 << 20, func() {
				if err := change(src + "/t/changing"); err != nil {
					t.Error(err)
				}
			}}
			err := tree.Pack(t.Context(), openRoot(t, src), "t", w)
			if err == nil || !strings.Contains(err.Error(), "t/changing") || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v, want an error that names the file and says that it %s", err, name)
			}
			if err := tree.Unpack(t.Context(), openRoot(t, dst), &b, tree.Options{}); err != nil {
				t.Errorf("the stream is broken: %v", err)
			}
			if fi, _ := stat(t, dst+"/t/changing"); fi.Size() != 10<<20 {
				t.Errorf("it came as %d bytes", fi.Size())
			}
			if got, _ := os.ReadFile(dst + "/t/steady"); string(got) != "S" {
				t.Errorf("the other file has %q", got)
			}
		})
	}
}

func TestPackLeavesOutSockets(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	write(t, src+"/t/a", "A", 0o600)
	ln, err := net.Listen("unix", src+"/t/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	var b bytes.Buffer
	if err := tree.Pack(t.Context(), openRoot(t, src), "t", &b); err == nil || !strings.Contains(err.Error(), "t/socket") {
		t.Errorf("got %v, want an error that names the socket", err)
	}
	if err := tree.Unpack(t.Context(), openRoot(t, dst), &b, tree.Options{}); err != nil {
		t.Error(err)
	}
	sameTree(t, dst, map[string]string{"t": "/", "t/a": "A"})
}

func TestPackErrors(t *testing.T) {
	src := t.TempDir()
	write(t, src+"/f", strings.Repeat("x", 1<<20), 0o600)
	var b bytes.Buffer
	if err := tree.Pack(t.Context(), openRoot(t, src), "missing", &b); !errors.Is(err, fs.ErrNotExist) || b.Len() > 0 {
		t.Errorf("missing: got %v, and %d bytes", err, b.Len())
	}
	full := errors.New("the pipe is broken")
	if err := tree.Pack(t.Context(), openRoot(t, src), "f", failing{full}); !errors.Is(err, full) {
		t.Errorf("a writer that fails: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tree.Pack(ctx, openRoot(t, src), "f", io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	if err := tree.Unpack(ctx, openRoot(t, src), bytes.NewReader(make([]byte, 2048)), tree.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// entries makes a stream of headers, each with its name as its contents.
func entries(hs ...*tar.Header) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range hs {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		if w.WriteHeader(h) == nil && h.Size > 0 {
			_, _ = io.WriteString(w, h.Name)
		}
	}
	_ = w.Close()
	return b.Bytes()
}

// Many failures are said in short, and all the rest arrives.
func TestUnpackManyFailures(t *testing.T) {
	var hs []*tar.Header
	for i := range 1000 {
		hs = append(hs, &tar.Header{Name: fmt.Sprintf("../evil%d", i), Typeflag: tar.TypeReg, Mode: 0o644})
	}
	hs = append(
		hs, &tar.Header{Name: "good", Typeflag: tar.TypeReg, Mode: 0o644},
		&tar.Header{Name: "dev", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3},
	)
	dst := t.TempDir()
	err := tree.Unpack(t.Context(), openRoot(t, dst), bytes.NewReader(entries(hs...)), tree.Options{})
	if err == nil || !strings.Contains(err.Error(), "../evil9:") || !strings.HasSuffix(err.Error(), "and 991 more") {
		t.Errorf("got %.200v", err)
	}
	sameTree(t, dst, map[string]string{"good": "good"})
}

func TestUnpackOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("owner: needs root")
	}
	dst := t.TempDir()
	stream := entries(&tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o2755, Uid: 1234, Gid: 5678}, &tar.Header{
		Name: "d/f", Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 1234, Gid: 5678,
	},
		&tar.Header{Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd", Uid: 1234, Gid: 5678})
	if err := tree.Unpack(t.Context(), openRoot(t, dst), bytes.NewReader(stream), tree.Options{Owner: true}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"d", "d/f", "d/l"} {
		if fi, st := stat(t, filepath.Join(dst, name)); st.Uid != 1234 || st.Gid != 5678 || name == "d/f" && fi.Mode()&fs.ModeSetuid == 0 {
			t.Errorf("%s: %v, owner %d:%d", name, fi.Mode(), st.Uid, st.Gid)
		}
	}
}

// guarded is a directory to unpack into, with things around it that must not change.
func guarded(t testing.TB) (dst string, check func() string) {
	t.Helper()
	top := t.TempDir()
	dst = filepath.Join(top, "dest")
	for _, err := range []error{
		os.Mkdir(dst, 0o755), os.WriteFile(top+"/canary", []byte("canary"), 0o600), os.Mkdir(top+"/cage", 0o750),
		os.WriteFile(top+"/cage/bird", []byte("bird"), 0o640),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	look := func() string {
		var s strings.Builder
		_ = filepath.WalkDir(top, func(p string, _ fs.DirEntry, _ error) error {
			if p == dst {
				return filepath.SkipDir
			}
			fi, err := os.Lstat(p)
			if err != nil {
				fmt.Fprintf(&s, "%s %v\n", p, err)
				return nil
			}
			body := []byte{}
			if fi.Mode().IsRegular() {
				body, _ = os.ReadFile(p)
			}
			fmt.Fprintf(&s, "%s %v %d %d %q\n", p, fi.Mode(), fi.ModTime().UnixNano(), fi.Sys().(*syscall.Stat_t).Nlink, body)
			return nil
		})
		return s.String()
	}
	before := look()
	return dst, func() string {
		if now := look(); now != before {
			return "before:\n" + before + "now:\n" + now
		}
		return ""
	}
}

// FuzzUnpack makes streams of what an attacker would choose from, two bytes an entry, and takes any
// bytes for a stream too: nothing around the directory may change.
func FuzzUnpack(f *testing.F) {
	names := []string{
		"a", "b", "a/b", "a/b/c", "..", "../canary", "../cage", "a/../../canary", ".", "./", "/", "a/", "l", "l/canary",
		"l/cage/bird", "l/dest/x", "a/l", "a/l/canary", "", "a//b",
	}
	targets := []string{
		"..", "../..", "../canary", "../cage", "a", "l", ".", "/", "/etc/passwd", "a/..", "../dest/../canary",
		"l/canary", "a/b",
	}
	kinds := []byte{tar.TypeReg, tar.TypeSymlink, tar.TypeDir, tar.TypeLink, tar.TypeFifo}
	build := func(choice []byte) []byte {
		var hs []*tar.Header
		for i := 0; i+1 < len(choice) && len(hs) < 30; i += 2 {
			k := kinds[int(choice[i])%len(kinds)]
			hs = append(hs, &tar.Header{
				Name: names[int(choice[i+1])%len(names)], Typeflag: k, Linkname: targets[int(choice[i]/8)%len(targets)],
				Mode: int64(choice[i]) << 3, ModTime: time.Unix(int64(i), 0),
			})
		}
		return entries(hs...)
	}
	f.Add([]byte{1, 12, 0, 13}, []byte{})
	f.Add([]byte{1, 16, 9, 12, 3, 13, 0, 17, 2, 14}, []byte{})
	f.Add([]byte{2, 0, 1, 16, 0, 17, 3, 17, 2, 12, 4, 5}, []byte{})
	f.Add([]byte{}, entries(&tar.Header{Name: "../canary", Typeflag: tar.TypeReg, Mode: 0o644}))
	f.Add(
		[]byte{},
		entries(&tar.Header{Name: strings.Repeat("long/", 60) + "\xff", Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatPAX}),
	)
	f.Fuzz(func(t *testing.T, choice, raw []byte) {
		dst, check := guarded(t)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		root := openRoot(t, dst)
		for _, stream := range [][]byte{build(choice), raw} {
			_ = tree.Unpack(ctx, root, bytes.NewReader(stream), tree.Options{Owner: true})
		}
		if changed := check(); changed != "" {
			t.Errorf("something outside was touched\n%s", changed)
		}
		_ = filepath.WalkDir(dst, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				_ = os.Chmod(p, 0o700) // or it could not be looked into, nor removed
			}
			if err == nil && strings.HasPrefix(d.Name(), ".hostler-") {
				t.Errorf("%s was left", p)
			}
			return nil
		})
	})
}

// A hole that no disk could hold, in a few bytes of stream, is given up with the context.
func TestUnpackHugeHole(t *testing.T) {
	body := "1\n4611686018427387000\n0\n" + strings.Repeat("\x00", 512-24)
	records := ""
	for _, kv := range []string{
		"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=huge", "GNU.sparse.realsize=4611686018427387000",
	} {
		records += fmt.Sprintf("%d %s\n", len(kv)+4, kv)
	}
	var b bytes.Buffer
	block := func(name string, kind byte, size int) {
		h := make([]byte, 512)
		copy(h, name)
		copy(h[100:], "0000644\x000000000\x000000000\x00"+fmt.Sprintf("%011o\x00", size)+"00000000000\x00        ")
		h[156] = kind
		copy(h[257:], "ustar\x0000")
		sum := 0
		for _, c := range h {
			sum += int(c)
		}
		copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
		b.Write(h)
	}
	block("x", 'x', len(records))
	b.WriteString(records + strings.Repeat("\x00", 512-len(records)))
	block("huge", '0', 512)
	b.WriteString(body)
	b.Write(make([]byte, 1024))
	dst := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := tree.Unpack(ctx, openRoot(t, dst), &b, tree.Options{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
	sameTree(t, dst, map[string]string{})
}
