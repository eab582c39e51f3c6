package remote_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote"
	"github.com/hostler-project/hostler/remote/process"
)

// far returns a connection to another place, whose / is a directory of its own where that is
// possible, and that directory.
func far(t *testing.T) (compute.Conn, string) {
	t.Helper()
	root := t.TempDir()
	c := process.New(process.Options{Dir: root})
	t.Cleanup(func() { _ = c.Close() })
	return c, root
}

func write(t *testing.T, name, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	old := time.Unix(1_000_000_000, 5)
	if err := os.Chtimes(name, old, old); err != nil {
		t.Fatal(err)
	}
}

// tree returns the files below dir and what is in them; directories are "/".
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		switch {
		case d.IsDir():
			out[name] = "/"
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			out[name] = "-> " + target
			return err
		default:
			b, err := os.ReadFile(p)
			out[name] = string(b)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameTree(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := tree(t, dir)
	for k, v := range want {
		if g, ok := got[k]; !ok || g != v {
			t.Errorf("%s: %q (%v), want %q", k, g, ok, v)
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			t.Errorf("%s is there and should not", k)
		}
	}
}

func TestCopyRules(t *testing.T) {
	cases := []struct {
		name, from, to string
		opt            remote.CopyOptions
		want           map[string]string // what is new on the far side
		kind           error
	}{
		{name: "file to new name", from: "f", to: "new", want: map[string]string{"new": "F"}},
		{name: "file to file", from: "f", to: "old", want: map[string]string{"old": "F"}},
		{name: "file to directory", from: "f", to: "dir", want: map[string]string{"dir/f": "F"}},
		{name: "file to directory with a slash", from: "f", to: "dir/", want: map[string]string{"dir/f": "F"}},
		{name: "file to dot", from: "f", to: ".", want: map[string]string{"f": "F"}},
		{name: "file below directory", from: "f", to: "dir/g", want: map[string]string{"dir/g": "F"}},
		{name: "odd names", from: "-odd \n'name", to: "-n", want: map[string]string{"-n": "O"}},
		{name: "odd name kept", from: "-odd \n'name", to: "dir", want: map[string]string{"dir/-odd \n'name": "O"}},
		{name: "file to missing directory", from: "f", to: "no/such", kind: compute.ErrNotFound},
		{name: "file to new name with a slash", from: "f", to: "new/", kind: compute.ErrInvalid},
		{name: "file to file with a slash", from: "f", to: "old/", kind: compute.ErrInvalid},
		{name: "missing", from: "missing", to: "x", kind: compute.ErrNotFound},
		{name: "several to a file", from: "f", to: "old", opt: remote.CopyOptions{DstMustBeDir: true}, kind: compute.ErrInvalid},
		{name: "several to a new name", from: "f", to: "new", opt: remote.CopyOptions{DstMustBeDir: true}, kind: compute.ErrInvalid},
		{
			name: "several to a directory", from: "f", to: "dir", opt: remote.CopyOptions{DstMustBeDir: true},
			want: map[string]string{"dir/f": "F"},
		},
		{name: "directory without -r", from: "d", to: "dir", kind: compute.ErrInvalid},
		{name: "directory to directory", from: "d", to: "dir", opt: remote.CopyOptions{Recursive: true},
			want: map[string]string{"dir/d": "/", "dir/d/a": "A", "dir/d/s": "/", "dir/d/s/b": "B", "dir/d/l": "-> a", "dir/d/e": "/"}},
		{name: "directory to new name", from: "d", to: "new", opt: remote.CopyOptions{Recursive: true},
			want: map[string]string{"new": "/", "new/a": "A", "new/s": "/", "new/s/b": "B", "new/l": "-> a", "new/e": "/"}},
		{name: "directory to new name, slashes", from: "d/", to: "new/", opt: remote.CopyOptions{Recursive: true},
			want: map[string]string{"new": "/", "new/a": "A", "new/s": "/", "new/s/b": "B", "new/l": "-> a", "new/e": "/"}},
		{name: "contents of a directory", from: "d/.", to: "dir", opt: remote.CopyOptions{Recursive: true},
			want: map[string]string{"dir/a": "A", "dir/s": "/", "dir/s/b": "B", "dir/l": "-> a", "dir/e": "/"}},
		{name: "directory to file", from: "d", to: "old", opt: remote.CopyOptions{Recursive: true}, kind: compute.ErrInvalid},
		{name: "link is followed", from: "link", to: "new", want: map[string]string{"new": "F"}},
		{name: "link into directory", from: "link", to: "dir", want: map[string]string{"dir/link": "F"}},
		{
			name: "link is kept with -r", from: "link", to: "new", opt: remote.CopyOptions{Recursive: true},
			want: map[string]string{"new": "-> f"},
		},
		{name: "link to a directory", from: "dlink", to: "dir", kind: compute.ErrInvalid},
		{name: "broken link", from: "broken", to: "dir", kind: compute.ErrNotFound},
		{name: "nothing", from: "f", to: "", kind: compute.ErrInvalid},
	}
	for _, c := range cases {
		for _, way := range []string{"out", "in", "between"} {
			t.Run(c.name+"/"+way, func(t *testing.T) {
				src, dst := t.TempDir(), t.TempDir()
				for n, text := range map[string]string{"f": "F", "d/a": "A", "d/s/b": "B", "-odd \n'name": "O"} {
					write(t, filepath.Join(src, n), text, 0o640)
				}
				for l, target := range map[string]string{"d/l": "a", "link": "f", "dlink": "d", "broken": "nowhere"} {
					if err := os.Symlink(target, filepath.Join(src, l)); err != nil {
						t.Fatal(err)
					}
				}
				_ = os.Mkdir(filepath.Join(src, "d/e"), 0o755)
				write(t, filepath.Join(dst, "old"), "old", 0o600)
				_ = os.Mkdir(filepath.Join(dst, "dir"), 0o755)
				want := map[string]string{"old": "old", "dir": "/"}
				for k, v := range c.want {
					want[k] = v
				}
				from, to := remote.Side{Path: abs(src, c.from)}, remote.Side{Path: abs(dst, c.to)}
				if way != "out" {
					conn := process.New(process.Options{Dir: src})
					t.Cleanup(func() { _ = conn.Close() })
					from = remote.Side{Conn: conn, Path: c.from}
				}
				if way != "in" {
					conn := process.New(process.Options{Dir: dst})
					t.Cleanup(func() { _ = conn.Close() })
					to = remote.Side{Conn: conn, Path: c.to}
				}
				err := remote.Copy(t.Context(), from, to, c.opt)
				if c.kind == nil && err != nil || c.kind != nil && !errors.Is(err, c.kind) {
					t.Errorf("Copy: got %v, want %v", err, c.kind)
				}
				sameTree(t, dst, want)
				for name, text := range c.want {
					if text != "F" {
						continue
					}
					fi, err := os.Stat(filepath.Join(dst, name))
					if err != nil || fi.Mode() != 0o640 || !fi.ModTime().Equal(time.Unix(1_000_000_000, 5)) {
						t.Errorf("%s: mode %v, time %v", name, fi.Mode(), fi.ModTime())
					}
				}
			})
		}
	}
}

func abs(dir, name string) string {
	if name == "" {
		return ""
	}
	return dir + "/" + name
}

func TestCopyStandardStreams(t *testing.T) {
	conn, root := far(t)
	in := remote.Side{Path: "-"}
	if err := remote.Copy(
		t.Context(), in, remote.Side{Conn: conn, Path: "f"}, remote.CopyOptions{Stdin: strings.NewReader("from here")},
	); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := remote.Copy(
		t.Context(), remote.Side{Conn: conn, Path: "f"}, in, remote.CopyOptions{Stdout: &out},
	); err != nil || out.String() != "from here" {
		t.Errorf("got %q, %v", out.String(), err)
	}
	broken := io.MultiReader(strings.NewReader("half"), readFails{})
	if err := remote.Copy(
		t.Context(), in, remote.Side{Conn: conn, Path: "f"}, remote.CopyOptions{Stdin: broken},
	); !errors.Is(err, errRead) {
		t.Errorf("a reader that fails: got %v", err)
	}
	sameTree(t, root, map[string]string{"f": "from here"})
	if err := remote.Copy(t.Context(), in, remote.Side{Conn: conn, Path: "."}, remote.CopyOptions{}); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("to a directory: got %v", err)
	}
}

var errRead = errors.New("the reader broke")

type readFails struct{}

func (readFails) Read([]byte) (int, error) { return 0, errRead }

func TestCopyHome(t *testing.T) {
	_, root := far(t)
	t.Setenv("HOME", root)
	conn := process.New(process.Options{KeepEnv: true})
	defer func() { _ = conn.Close() }()
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, "F", 0o600)
	for _, to := range []string{"~", "~/g"} {
		if err := remote.Copy(t.Context(), remote.Side{Path: src}, remote.Side{Conn: conn, Path: to}, remote.CopyOptions{}); err != nil {
			t.Errorf("to %s: %v", to, err)
		}
	}
	if err := remote.Copy(
		t.Context(), remote.Side{Conn: conn, Path: "~/g"}, remote.Side{Path: src + "2"}, remote.CopyOptions{},
	); err != nil {
		t.Error(err)
	}
	sameTree(t, root, map[string]string{"f": "F", "g": "F"})
	sameTree(t, filepath.Dir(src), map[string]string{"f": "F", "f2": "F"})
}

func TestCopyNamesWhatFailed(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	write(t, src+"/d/good", "G", 0o600)
	write(t, src+"/d/taken", "T", 0o600)
	write(t, dst+"/d/taken/in", "x", 0o600)
	err := remote.Copy(t.Context(), remote.Side{Path: src + "/d"}, remote.Side{Path: dst}, remote.CopyOptions{Recursive: true})
	if err == nil || !strings.Contains(err.Error(), "d/taken") || strings.Contains(err.Error(), "good") {
		t.Errorf("got %v, want an error that names d/taken", err)
	}
	sameTree(t, dst, map[string]string{"d": "/", "d/good": "G", "d/taken": "/", "d/taken/in": "x"})
}

func TestCopyProgressAndCancel(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	write(t, src+"/f", strings.Repeat("x", 1<<20), 0o600)
	var last int64
	opt := remote.CopyOptions{Progress: func(n int64) { last = n }}
	if err := remote.Copy(t.Context(), remote.Side{Path: src + "/f"}, remote.Side{Path: dst}, opt); err != nil || last != 1<<20 {
		t.Errorf("progress ended at %d, %v", last, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	opt.Progress = func(int64) { cancel() }
	if err := remote.Copy(ctx, remote.Side{Path: src + "/f"}, remote.Side{Path: dst + "/g"}, opt); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	sameTree(t, dst, map[string]string{"f": strings.Repeat("x", 1<<20)})
}

func TestCopyIntoItself(t *testing.T) {
	conn, root := far(t)
	write(t, root+"/d/f", "F", 0o600)
	for _, to := range []string{"d", "d/new", "d/.."} {
		err := remote.Copy(
			t.Context(), remote.Side{Conn: conn, Path: "d"}, remote.Side{Conn: conn, Path: to},
			remote.CopyOptions{Recursive: true},
		)
		if to != "d/.." && !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("to %s: got %v", to, err)
		}
	}
	sameTree(t, root, map[string]string{"d": "/", "d/f": "F"})
}

// A computer that was asked for one file and sends others does not get them written.
type liar struct {
	compute.Conn
	stream []byte
}

func (l liar) Get(_ context.Context, _ string, w io.Writer) error {
	_, err := w.Write(l.stream)
	return err
}

func TestCopyFromLiar(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, n := range []string{"f", ".bashrc", "f/../../x", "fx"} {
		_ = w.WriteHeader(&tar.Header{Name: n, Typeflag: tar.TypeReg, Mode: 0o644, Size: 1})
		_, _ = w.Write([]byte("x"))
	}
	_ = w.Close()
	conn, _ := far(t)
	dst := t.TempDir()
	if err := remote.Copy(
		t.Context(), remote.Side{Conn: liar{conn, b.Bytes()}, Path: "f"}, remote.Side{Path: dst}, remote.CopyOptions{},
	); err == nil {
		t.Error("no error")
	}
	sameTree(t, dst, map[string]string{"f": "x"})
}
