package remote_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/remote"
)

// scratch returns a directory that other users may pass through, which t.TempDir's parents may forbid.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hostler-remote-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestConnLocal(t *testing.T) {
	computetest.Conn(t, computetest.ConnOptions{
		New: func(*testing.T) compute.Conn { return remote.NewExec(remote.ExecOptions{KeepEnv: true}) },
		Dir: scratch(t), Shell: true,
	})
}

func TestConnChroot(t *testing.T) {
	root := tinyRoot(t)
	computetest.Conn(t, computetest.ConnOptions{
		New: func(*testing.T) compute.Conn { return remote.NewExec(remote.ExecOptions{Root: root, Chroot: true}) },
		Dir: "/tmp", Shell: true,
	})
}

func TestConnPrefix(t *testing.T) {
	root := tinyRoot(t)
	computetest.Conn(t, computetest.ConnOptions{
		New: func(*testing.T) compute.Conn {
			return remote.NewExec(remote.ExecOptions{Prefix: []string{"chroot", root}, Root: root})
		},
		Dir: "/tmp", Shell: true,
		Skip: map[string]string{
			"DialListenTCP": "nobody knows a prefix's network", "DialListenUnix": "nobody knows a prefix's network", "DialRefused": "nobody knows a prefix's network",
		},
	})
}

// tinyRoot returns a copy of the lab's busybox root, with the devices that the suite reads.
func tinyRoot(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("chroot: needs root")
	}
	kv := lab(t, "base-rootfs", "tiny")
	root := filepath.Join(scratch(t), "root")
	for _, args := range [][]string{
		{"cp", "-a", kv["rootfs"], root}, {"mknod", "-m", "666", root + "/dev/null", "c", "1", "3"}, {"mknod", "-m", "666", root + "/dev/zero", "c", "1", "5"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
	}
	return root
}

// lab runs a script of the lab and returns what it says, or skips.
func lab(t *testing.T, script string, args ...string) map[string]string {
	t.Helper()
	required := os.Getenv("HOSTLER_REQUIRE_LAB") != ""
	shared := os.Getenv("HOSTLER_SHARED")
	if shared == "" {
		dir, err := os.Getwd()
		for err == nil && dir != "/" {
			if _, serr := os.Stat(filepath.Join(dir, "go.mod")); serr == nil {
				break
			}
			dir = filepath.Dir(dir)
		}
		shared = filepath.Join(dir, "..", "shared")
	}
	name := filepath.Join(shared, "lab", script)
	if _, err := os.Stat(name); err != nil && !required {
		t.Skip("lab: not here")
	}
	out, err := exec.Command(name, args...).Output()
	var ee *exec.ExitError
	switch {
	case errors.As(err, &ee) && ee.ExitCode() == 77 && !required:
		t.Skipf("lab: %s", strings.TrimSpace(string(out)))
	case err != nil:
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	kv := make(map[string]string)
	for _, line := range strings.Split(string(out), "\n") {
		if k, v, ok := strings.Cut(line, "="); ok {
			kv[k] = v
		}
	}
	return kv
}
