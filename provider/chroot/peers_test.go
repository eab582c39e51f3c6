//go:build linux

package chroot_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/chroot"
)

// own runs the test again in a mount name space of its own, where it may make mounts that others
// would see. It returns false in the test of before, which has nothing left to do.
func own(t *testing.T) bool {
	t.Helper()
	const inner = "HOSTLER_TEST_OWN_MOUNTS"
	if os.Getenv(inner) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inner+"=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in a mount name space of its own: %v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("--- PASS")) {
		t.Skipf("chroot: %s", out)
	}
	return false
}

// mounted mounts a tmpfs of its own on a new directory.
func mounted(t *testing.T, dir string, flags uintptr) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", dir, "", flags, ""); err != nil {
		t.Fatal(err)
	}
}

// here names the mount points at and below a directory.
func here(t *testing.T, dir string) (out []string) {
	t.Helper()
	for _, x := range left(t, dir) {
		if at, ok := strings.CutPrefix(x, "mount "); ok {
			out = append(out, at)
		}
	}
	return out
}

// TestSharedMounts puts a tree of this machine whose mounts are shared into an instance, as mount
// --rbind does on most systems: its end takes none of them from this machine. And an instance whose
// own directory is shared leaves nothing where else that shows.
func TestSharedMounts(t *testing.T) {
	kv := lab(t)
	if !own(t) {
		return
	}
	for _, layer := range []string{"overlay", "copy"} {
		for _, end := range []string{"clean", "destroy"} {
			t.Run(layer+" "+end, func(t *testing.T) {
				// goes with the name space: whatever fails here, nothing is deleted through a mount
				top, err := os.MkdirTemp("", "hostler-chroot-*")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := unix.Unmount(top, unix.MNT_DETACH); err == nil {
						_ = os.Remove(top)
					}
				})
				mounted(t, top, unix.MS_PRIVATE)
				at := func(name string) string { return filepath.Join(top, name) }
				mounted(t, at("host"), unix.MS_SHARED)
				mounted(t, at("host/sub"), unix.MS_SHARED)
				mounted(t, at("host/sub/deep"), unix.MS_SHARED)
				host := here(t, at("host"))
				// The state's directory shows twice.
				mounted(t, at("state"), unix.MS_SHARED)
				if err := os.Mkdir(at("peer"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := unix.Mount(at("state"), at("peer"), "", unix.MS_BIND, ""); err != nil {
					t.Fatal(err)
				}
				p := open(t, chroot.Options{Base: kv["rootfs"], Layer: layer, Dir: at("state")})
				sh(t, create(t, p, "suite-1"), "mkdir -p /mnt/a /mnt/b; ln -s / /mnt/b/sub")
				all, err := p.List(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				root := all[0].ProviderID
				if err := unix.Mount(at("host"), filepath.Join(root, "mnt/a"), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
					t.Fatal(err)
				}
				// Another mount hides it, with a link in the place where the hidden one has a
				// mount.
				if err := unix.Mount("", filepath.Join(root, "mnt/a"), "", unix.MS_PRIVATE, ""); err != nil {
					t.Fatal(err)
				}
				if err := unix.Mount(filepath.Join(root, "mnt/b"), filepath.Join(root, "mnt/a"), "", unix.MS_BIND, ""); err != nil {
					t.Fatal(err)
				}
				if end == "clean" {
					if _, err := p.Clean(t.Context(), "suite-1"); err != nil {
						t.Error(err)
					}
				}
				destroy(t, p, "suite-1")
				if now := here(t, at("host")); strings.Join(now, " ") != strings.Join(host, " ") {
					t.Errorf("this machine has the mounts %q, had %q", now, host)
				}
				for _, dir := range []string{"state", "peer"} {
					if now := here(t, at(dir)); len(now) != 1 {
						t.Errorf("left: %q", now)
					}
				}
			})
		}
	}
}
