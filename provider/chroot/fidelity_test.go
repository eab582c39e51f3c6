//go:build linux

package chroot_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/chroot"
)

// TestFidelity makes a base of everything that a root file system may hold, and finds it again in a
// copy and in an unpacked tarball.
func TestFidelity(t *testing.T) {
	lab(t) // root
	base := filepath.Join(tempDir(t), "base")
	check := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(base, name) }
	when := time.Unix(1_000_000_000, 0)
	check(os.MkdirAll(at("etc/deep"), 0o755), os.WriteFile(at("setuid"), []byte("x"), 0o755), os.Chown(at("setuid"), 7, 8), os.Chmod(at("setuid"), 0o755|os.ModeSetuid),
		os.Link(at("setuid"), at("etc/deep/same")), os.Symlink("/etc/passwd", at("absolute")), os.Lchown(at("absolute"), 9, 9), os.Symlink("../../../../up", at("etc/up")),
		os.WriteFile(at("odd\nname \xff"), nil, 0o600), unix.Mkfifo(at("fifo"), 0o640), os.Mkdir(at("sticky"), 0o777), os.Chmod(at("sticky"), 0o777|os.ModeSticky))
	check(os.WriteFile(at("holes"), nil, 0o644), os.Truncate(at("holes"), 64<<20))
	f, err := os.OpenFile(at("holes"), os.O_WRONLY, 0)
	check(err)
	_, err = f.WriteAt([]byte("in the middle"), 32<<20)
	check(err, f.Close())
	devices := unix.Mknod(at("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))) == nil
	attributed := unix.Setxattr(at("setuid"), "trusted.hostler", []byte("v\x00\x01"), 0) == nil
	check(os.Chtimes(at("setuid"), when, when), os.Chtimes(at("etc"), when, when))

	tarball := filepath.Join(filepath.Dir(base), "base.tar")
	if out, err := exec.CommandContext(
		t.Context(), "tar", "-C", base, "--format=pax", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-S", "-cf",
		tarball, ".",
	).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	for name, o := range map[string]chroot.Options{"copy": {Base: base, Layer: "copy"}, "tarball": {Base: tarball, Layer: "overlay"}} {
		t.Run(name, func(t *testing.T) {
			o.Dir = tempDir(t)
			p := open(t, o)
			t.Cleanup(func() { destroy(t, p, "suite-1") })
			in, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
			if err != nil {
				t.Fatal(err)
			}
			got := func(name string) string { return filepath.Join(in.ProviderID, name) }
			for _, name := range []string{
				"etc", "setuid", "etc/deep/same", "absolute", "etc/up", "odd\nname \xff", "fifo", "sticky", "holes", "null",
			} {
				var a, b unix.Stat_t
				if err := unix.Lstat(at(name), &a); err != nil {
					if name == "null" && !devices {
						continue
					}
					t.Fatal(err)
				}
				if err := unix.Lstat(got(name), &b); err != nil {
					t.Errorf("%q: err = %v; want no error", name, err)
					continue
				}
				if a.Mode != b.Mode || a.Uid != b.Uid || a.Gid != b.Gid || a.Rdev != b.Rdev ||
					a.Mode&unix.S_IFMT != unix.S_IFDIR && (a.Size != b.Size || a.Nlink != b.Nlink) {
					t.Errorf("%q is\n%+v, was\n%+v", name, b, a)
				}
				if a.Mode&unix.S_IFMT == unix.S_IFREG && a.Mtim.Sec != b.Mtim.Sec {
					t.Errorf("%q is of %v, was of %v", name, b.Mtim, a.Mtim)
				}
			}
			for _, link := range []string{"absolute", "etc/up"} {
				a, _ := os.Readlink(at(link))
				if b, err := os.Readlink(got(link)); err != nil || a != b {
					t.Errorf("%s leads to %q, not %q: %v", link, b, a, err)
				}
			}
			if attributed {
				value := make([]byte, 10)
				if n, err := unix.Getxattr(got("setuid"), "trusted.hostler", value); err != nil || string(value[:n]) != "v\x00\x01" {
					t.Errorf("the attribute is %q, %v", value[:max(n, 0)], err)
				}
			}
			fi, err := os.Stat(got("holes"))
			if err != nil {
				t.Fatal(err)
			}
			if used := fi.Sys().(*syscall.Stat_t).Blocks * 512; used > 8<<20 {
				t.Errorf("64 MiB of holes take %d bytes", used)
			}
			b, err := os.ReadFile(got("holes"))
			if err != nil || !bytes.Equal(bytes.Trim(b, "\x00"), []byte("in the middle")) || b[32<<20] != 'i' {
				t.Errorf("the content between the holes is lost: %v", err)
			}
		})
	}
}
