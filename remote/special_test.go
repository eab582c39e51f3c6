package remote_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote"
	"github.com/hostler-project/hostler/remote/process"
)

// TestCopyOntoSpecial copies onto what others know by its name. It stays, whichever way the copy
// came there.
func TestCopyOntoSpecial(t *testing.T) {
	made := map[string]func(string) error{
		"named pipe": func(p string) error { return syscall.Mkfifo(p, 0o600) },
		"device":     func(p string) error { return syscall.Mknod(p, syscall.S_IFCHR|0o600, 1<<8|3) },
		"socket": func(p string) error {
			l, err := net.Listen("unix", p)
			if err == nil {
				t.Cleanup(func() { _ = l.Close() })
			}
			return err
		},
	}
	ways := map[string]struct{ from, to string }{
		"by name": {"f", "x"}, "in a directory": {"x", "."}, "through a link": {"f", "to-x"}, "in a tree": {"d", "."},
		"standard input": {"-", "x"},
	}
	for what, special := range made {
		for way, paths := range ways {
			t.Run(what+"/"+way, func(t *testing.T) {
				src, dst := t.TempDir(), t.TempDir()
				for _, name := range []string{"f", "x", "d/x"} {
					write(t, filepath.Join(src, name), "F", 0o640)
				}
				place := dst
				if way == "in a tree" {
					place = filepath.Join(dst, "d")
					_ = os.Mkdir(place, 0o755)
				}
				t.Chdir(place) // a socket's name is short
				if err := special("x"); errors.Is(err, fs.ErrPermission) {
					t.Skipf("%s: %v", what, err)
				} else if err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink("x", filepath.Join(dst, "to-x")); err != nil {
					t.Fatal(err)
				}
				before, err := os.Lstat("x")
				if err != nil {
					t.Fatal(err)
				}
				from := remote.Side{Path: "-"}
				if paths.from != "-" {
					from.Path = filepath.Join(src, paths.from)
				}
				conn := process.New(process.Options{Dir: dst})
				defer func() { _ = conn.Close() }()
				err = remote.Copy(
					t.Context(), from, remote.Side{Conn: conn, Path: paths.to},
					remote.CopyOptions{Recursive: true, Stdin: strings.NewReader("F")},
				)
				if err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "x: ") {
					t.Errorf("got %v, want that x is a %s", err, what)
				}
				after, err := os.Lstat("x")
				if err != nil || !os.SameFile(before, after) || after.Mode() != before.Mode() {
					t.Errorf("it is %v now, %v", after, err)
				}
				left, err := filepath.Glob(filepath.Join(place, ".hostler-*"))
				if err != nil || len(left) > 0 {
					t.Errorf("left: %q %v", left, err)
				}
			})
		}
	}
}

// TestCopyOntoLink writes a file where a link leads that was named, and replaces links for all
// else.
func TestCopyOntoLink(t *testing.T) {
	cases := []struct {
		name, from, to string
		recursive      bool
		stdin          bool
		want           map[string]string
		kind           error
	}{
		{name: "by name", from: "f", to: "l", want: map[string]string{"l": "-> far/t", "far/t": "F"}},
		{name: "by name with -r", from: "f", to: "l", recursive: true, want: map[string]string{"l": "-> far/t", "far/t": "F"}},
		{name: "in a directory", from: "l", to: ".", want: map[string]string{"l": "-> far/t", "far/t": "L"}},
		{name: "standard input", from: "-", to: "l", want: map[string]string{"l": "-> far/t", "far/t": "in"}},
		{name: "leads nowhere", from: "f", to: "n", want: map[string]string{"l": "-> far/t", "far/t": "old"}, kind: compute.ErrInvalid},
		{name: "a link", from: "s", to: "l", recursive: true, want: map[string]string{"l": "-> f", "far/t": "old"}},
		{name: "in a tree", from: "d/.", to: ".", recursive: true, want: map[string]string{"l": "D", "far/t": "old"}},
		{name: "an odd name", from: "f", to: "-o", want: map[string]string{"l": "-> far/t", "far/t": "old", "far/o\n": "F"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			src, dst := t.TempDir(), t.TempDir()
			write(t, filepath.Join(src, "f"), "F", 0o640)
			write(t, filepath.Join(src, "l"), "L", 0o640)
			write(t, filepath.Join(src, "d/l"), "D", 0o640)
			write(t, filepath.Join(dst, "far/t"), "old", 0o640)
			write(t, filepath.Join(dst, "far/o\n"), "old", 0o640)
			for l, target := range map[string]string{
				src + "/s": "f", dst + "/l": "far/t", dst + "/n": "far/nothing", dst + "/-o": "far/o\n",
			} {
				if err := os.Symlink(target, l); err != nil {
					t.Fatal(err)
				}
			}
			from := remote.Side{Path: c.from}
			if c.from != "-" {
				from.Path = src + "/" + c.from
			}
			conn := process.New(process.Options{Dir: dst})
			defer func() { _ = conn.Close() }()
			err := remote.Copy(
				t.Context(), from, remote.Side{Conn: conn, Path: c.to},
				remote.CopyOptions{Recursive: c.recursive, Stdin: strings.NewReader("in")},
			)
			if c.kind == nil && err != nil || c.kind != nil && !errors.Is(err, c.kind) {
				t.Errorf("got %v, want %v", err, c.kind)
			}
			want := map[string]string{"far": "/", "far/o\n": "old", "n": "-> far/nothing", "-o": "-> far/o\n"}
			for k, v := range c.want {
				want[k] = v
			}
			sameTree(t, dst, want)
		})
	}
}
