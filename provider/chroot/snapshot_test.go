//go:build linux

package chroot_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/chroot"
)

const built = "localhost/built:1"

// TestSnapshot makes images of chroots of each kind, and chroots of the images.
func TestSnapshot(t *testing.T) {
	kv := lab(t)
	for name, o := range map[string]chroot.Options{
		"directory overlay": {Base: kv["rootfs"], Layer: "overlay"},
		"tarball overlay":   {Base: kv["tarball"], Layer: "overlay"}, "copy": {Base: kv["rootfs"], Layer: "copy"},
	} {
		t.Run(name, func(t *testing.T) {
			o.Dir, o.Images = tempDir(t), tempDir(t)
			p := open(t, o)
			before, err := p.ImageDigest(t.Context(), "", true)
			if err != nil || !strings.HasPrefix(before, "base:") {
				t.Fatalf("the base: %q, %v", before, err)
			}
			if _, err := p.ImageDigest(t.Context(), built, false); !errors.Is(err, compute.ErrNotFound) {
				t.Errorf("one that is not there: %v", err)
			}
			conn := create(t, p, "suite-1")
			sh(t, conn, `set -e; echo made >/etc/made; ln /etc/made /etc/linked; chmod 4755 /etc/made; rm /bin/cat; mkdir -p /deep/er; chmod 700 /deep; chown 7:8 /deep; mkfifo /deep/fifo; echo left >/tmp/left
				echo mine >/etc/machine-id; mkdir -p /etc/ssh; echo key >/etc/ssh/ssh_host_ed25519_key; sleep 3985 >/dev/null 2>&1 &`)
			root := filepath.Join(o.Dir, "instances", "suite-1", "root")
			attributed := unix.Setxattr(filepath.Join(root, "etc/made"), "user.kind", []byte("new"), 0) == nil
			socket(t, filepath.Join(root, "deep", "socket"))
			conn.Close()
			if got, err := p.Snapshot(
				t.Context(), "suite-1", provider.ImageSpec{Name: built, Labels: map[string]string{"k": "v"}},
			); err != nil || got != built {
				t.Fatalf("the image: %q, %v", got, err)
			}
			// as after a death before it was told
			if _, err := p.Snapshot(t.Context(), "suite-1", provider.ImageSpec{Name: built}); err != nil {
				t.Fatalf("once more: %v", err)
			}
			destroy(t, p, "suite-1")
			if now, err := p.ImageDigest(t.Context(), "", true); err != nil || now != before {
				t.Errorf("the base is another one: %q, %q, %v", before, now, err)
			}

			// One that is made from it, and an image of that one.
			made := `set -e; test ! -e /bin/cat; test ! -e /tmp/left; test ! -e /etc/machine-id; test ! -e /etc/ssh/ssh_host_ed25519_key; test ! -e /deep/socket; test -p /deep/fifo
				test "$(head -n 1 /etc/linked)" = made; stat -c '%a %u %g %h' /etc/made /deep | tr '\n' ,`
			conn = create2(t, p, "suite-2", built)
			if got := sh(t, conn, made); got != "4755 0 0 2,700 7 8 3," {
				t.Errorf("in one that is made from it: %q", got)
			}
			value := make([]byte, 8)
			if n, err := unix.Getxattr(
				filepath.Join(o.Dir, "instances", "suite-2", "root", "etc", "made"), "user.kind", value,
			); attributed && (err != nil || string(value[:n]) != "new") {
				t.Errorf("the attribute is %q, %v", value[:max(n, 0)], err)
			}
			sh(t, conn, `set -e; rm -r /deep; mkdir /deep; echo again >/deep/again; rm /etc/linked; echo second >>/etc/made`)
			conn.Close()
			if _, err := p.Snapshot(t.Context(), "suite-2", provider.ImageSpec{Name: "localhost/built:2"}); err != nil {
				t.Fatal(err)
			}
			// both see the same in several layers
			for _, layer := range []string{"overlay", "copy"} {
				q := open(t, chroot.Options{Image: "localhost/built:2", Layer: layer, Dir: tempDir(t), Images: o.Images})
				digest, err := q.ImageDigest(t.Context(), "", true)
				if named, e := q.ImageDigest(t.Context(), "localhost/built:2", false); err != nil || e != nil || digest != named {
					t.Errorf("the image: %q, %v; by its name: %q, %v", digest, err, named, e)
				}
				conn := create(t, q, "suite-1")
				if got := sh(
					t, conn,
					`set -e; ls /deep; test ! -e /etc/linked; test ! -e /bin/cat; tail -n 1 /etc/made; test -x /bin/busybox`,
				); got != "again\nsecond" {
					t.Errorf("%s: in one that is made from the second: %q", layer, got)
				}
				sh(t, conn, "echo x >/etc/made")
				conn.Close()
				if _, err := q.Clean(t.Context(), "suite-1"); err != nil {
					t.Fatal(err)
				}
				again, err := q.Connect(t.Context(), "suite-1")
				if err != nil {
					t.Fatal(err)
				}
				if got := sh(t, again, `tail -n 1 /etc/made`); got != "second" {
					t.Errorf("%s: cleaned, it has %q", layer, got)
				}
				again.Close()
			}
		})
	}
}

// TestSnapshotKilled ends it at each step, and does it again.
func TestSnapshotKilled(t *testing.T) {
	kv := lab(t)
	o := chroot.Options{Base: kv["rootfs"], Layer: "overlay", Dir: tempDir(t), Images: tempDir(t)}
	for n := 0; ; n++ {
		p := open(t, o)
		id := compute.ID(fmt.Sprintf("suite-%d", n))
		sh(t, create(t, p, id), "echo made >/etc/made")
		at, died := 0, ""
		p.SetStep(func(step string) error {
			if died == "" && at == n {
				died = step
			}
			if at++; died != "" {
				return errKilled
			}
			return nil
		})
		_, err := p.Snapshot(t.Context(), id, provider.ImageSpec{Name: built})
		p.SetStep(nil)
		if died == "" {
			if err != nil || n < 3 {
				t.Errorf("not killed after %d steps: %v", n, err)
			}
			break
		}
		if !errors.Is(err, errKilled) {
			t.Fatalf("killed at %s: %v", died, err)
		}
		if _, err := open(t, o).Snapshot(t.Context(), id, provider.ImageSpec{Name: built}); err != nil {
			t.Errorf("again, after it was killed at %s: %v", died, err)
		}
		destroy(t, p, id)
	}
}

// TestSnapshotRefuses: what cannot be is said, and what is there goes on.
func TestSnapshotRefuses(t *testing.T) {
	kv := lab(t)
	full := tempDir(t)
	if err := unix.Mount("tmpfs", full, "tmpfs", 0, "size=256k"); err != nil {
		t.Skip("a small file system: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(full, unix.MNT_DETACH) })
	p := open(t, chroot.Options{Base: kv["rootfs"], Dir: tempDir(t), Images: filepath.Join(full, "images")})
	conn := create(t, p, "suite-1")
	if _, err := p.Snapshot(
		t.Context(), "suite-1", provider.ImageSpec{Name: built},
	); err == nil || !strings.Contains(err.Error(), "is full") {
		t.Errorf("with a full disk: %v", err)
	}
	if _, err := p.ImageDigest(t.Context(), built, false); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("an image that did not fit: %v", err)
	}
	if some, _ := filepath.Glob(filepath.Join(full, "images", "layers", "*")); len(some) > 0 {
		t.Errorf("left: %q", some)
	}
	conn.Close()
	if conn, err := p.Connect(t.Context(), "suite-1"); err != nil {
		t.Errorf("after it failed: %v", err)
	} else {
		sh(t, conn, "true")
		conn.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Snapshot(ctx, "suite-1", provider.ImageSpec{Name: built}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for name, c := range map[string]struct {
		o    chroot.Options
		want error
	}{
		"none": {chroot.Options{Base: kv["rootfs"]}, compute.ErrNotFound}, "no store": {chroot.Options{Image: "x"}, compute.ErrUnavailable},
	} {
		c.o.Dir = tempDir(t)
		_, err := open(t, c.o).Snapshot(t.Context(), "none", provider.ImageSpec{Name: built})
		if c.o.Image != "" {
			_, err = open(t, c.o).ImageDigest(t.Context(), "", true)
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := p.ImageDigest(t.Context(), kv["rootfs"], true); !errors.Is(err, compute.ErrInvalid) || compute.Hint(err) == "" {
		t.Errorf("a directory as an image: %v", err)
	}
}

func create2(t *testing.T, p *chroot.Provider, id compute.ID, image string) compute.Conn {
	t.Helper()
	if _, err := p.Create(t.Context(), compute.Spec{ID: id, Image: image}); err != nil {
		t.Fatal(err)
	}
	return create(t, p, id)
}

func socket(t *testing.T, path string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))}); err != nil {
		t.Fatal(err)
	}
}
