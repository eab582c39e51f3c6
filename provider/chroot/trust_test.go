//go:build linux

package chroot_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/chroot"
)

// TestForeignBases lets another user have a say in what root would run.
func TestForeignBases(t *testing.T) {
	kv := lab(t)
	const other = 65533
	tarball, err := os.ReadFile(kv["tarball"])
	if err != nil {
		t.Fatal(err)
	}
	chown := func(uid int, paths ...string) func(string) error {
		return func(top string) (err error) {
			for _, p := range paths {
				err = errors.Join(err, os.Lchown(filepath.Join(top, p), uid, 0))
			}
			return err
		}
	}
	chmod := func(mode os.FileMode, gid int, path string) func(string) error {
		return func(top string) error {
			return errors.Join(os.Chown(filepath.Join(top, path), 0, gid), os.Chmod(filepath.Join(top, path), mode))
		}
	}
	for name, c := range map[string]struct {
		base string // below the directory that has all of it
		sudo string
		do   func(top string) error
		want error
	}{
		"ours": {base: "a/base", do: chown(0, "a")}, "tarball": {base: "a/base.tar", do: chown(0, "a")},
		"another's":         {base: "a/base", do: chown(other, "a/base"), want: compute.ErrDenied},
		"another's tarball": {base: "a/base.tar", do: chown(other, "a/base.tar"), want: compute.ErrDenied},
		"above it":          {base: "a/base", do: chown(other, "a"), want: compute.ErrDenied},
		"writable tarball":  {base: "a/base.tar", do: chmod(0o666, 0, "a/base.tar"), want: compute.ErrDenied},
		"writable":          {base: "a/base", do: chmod(0o777, 0, "a"), want: compute.ErrDenied},
		"sticky":            {base: "a/base", do: chmod(0o777|os.ModeSticky, 0, "a")},
		"group":             {base: "a/base", do: chmod(0o775, other, "a"), want: compute.ErrDenied},
		"root's group":      {base: "a/base", do: chmod(0o775, 0, "a")},
		"link":              {base: "link", do: chown(0, "a")},
		"link to another's": {base: "link", do: chown(other, "a/base"), want: compute.ErrDenied},
		"another's link":    {base: "link", do: chown(other, "link"), want: compute.ErrDenied},
		"link's directory":  {base: "b/up/base", do: chown(other, "b"), want: compute.ErrDenied},
		"link up":           {base: "b/up/base", do: chown(0, "b")},
		"the caller's":      {base: "a/base", sudo: "65533", do: chown(other, "a", "a/base")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SUDO_UID", c.sudo)
			top := tempDir(t)
			if err := errors.Join(os.MkdirAll(filepath.Join(top, "a/base/bin"), 0o755), os.Mkdir(filepath.Join(top, "b"), 0o755),
				os.WriteFile(filepath.Join(top, "a/base.tar"), tarball, 0o644), os.Symlink("../a", filepath.Join(top, "b/up")),
				os.Symlink(filepath.Join(top, "a/base"), filepath.Join(top, "link")), c.do(top)); err != nil {
				t.Fatal(err)
			}
			p := open(t, chroot.Options{Base: filepath.Join(top, c.base), Dir: filepath.Join(top, "state")})
			t.Cleanup(func() { destroy(t, p, "suite-1") })
			_, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
			if !errors.Is(err, c.want) || c.want != nil && compute.Hint(err) == "" {
				t.Errorf("Create: %v (hint %q), want %v", err, compute.Hint(err), c.want)
			}
		})
	}
}

// TestForeignPlace finds that the directory of instances is another user's, who may have put
// anything there: nothing in it is looked at or touched.
func TestForeignPlace(t *testing.T) {
	kv := lab(t)
	for name, spoil := range map[string]func(dir string) error{
		"another's": func(dir string) error { return os.Chown(filepath.Join(dir, "instances"), 65533, 0) },
		"above":     func(dir string) error { return os.Chown(dir, 65533, 0) },
		"writable":  func(dir string) error { return os.Chmod(filepath.Join(dir, "instances"), 0o777) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SUDO_UID", "")
			dir := filepath.Join(tempDir(t), "state")
			p := open(t, chroot.Options{Base: kv["rootfs"], Layer: "copy", Dir: dir})
			create(t, p, "suite-1").Close()
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			_, create := p.Create(t.Context(), compute.Spec{ID: "suite-2"})
			_, connect := p.Connect(t.Context(), "suite-1")
			_, clean := p.Clean(t.Context(), "suite-1")
			_, list := p.List(t.Context())
			destroy := p.Destroy(context.Background(), "suite-1")
			for verb, err := range map[string]error{
				"Create": create, "Connect": connect, "Clean": clean, "List": list, "Destroy": destroy,
			} {
				if !errors.Is(err, compute.ErrDenied) || compute.Hint(err) == "" {
					t.Errorf("%s: %v (hint %q), want ErrDenied", verb, err, compute.Hint(err))
				}
			}
			if _, err := os.Stat(filepath.Join(dir, "instances/suite-1/root/bin")); err != nil {
				t.Errorf("it was touched: %v", err)
			}
			if err := errors.Join(
				os.Chown(dir, 0, 0), os.Chown(filepath.Join(dir, "instances"), 0, 0),
				os.Chmod(filepath.Join(dir, "instances"), 0o700),
			); err != nil {
				t.Fatal(err)
			}
			_ = p.Destroy(context.Background(), "suite-2") // which ought not to be there
		})
	}
}
