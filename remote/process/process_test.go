package process_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/remote/process"
)

// scratch returns a directory that other users may pass through, which t.TempDir's parents may
// forbid.
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
		New: func(*testing.T) compute.Conn { return process.New(process.Options{KeepEnv: true}) },
		Dir: scratch(t), Shell: true, Marked: true,
	})
}

func TestConnChroot(t *testing.T) {
	root := tinyRoot(t)
	withProc(t, root)
	computetest.Conn(t, computetest.ConnOptions{
		New: func(*testing.T) compute.Conn {
			return process.New(process.Options{Root: root, Chroot: true, Owner: true})
		},
		Dir: "/tmp", Shell: true, Owner: true, Marked: true,
	})
}

func TestConnPrefix(t *testing.T) {
	root := tinyRoot(t)
	withProc(t, root)
	computetest.Conn(t, computetest.ConnOptions{
		New: func(*testing.T) compute.Conn {
			return process.New(process.Options{Prefix: []string{"chroot", root}, Root: root})
		},
		Dir: "/tmp", Shell: true, Marked: true,
		Skip: map[string]string{
			"DialListenTCP": "nobody knows a prefix's network", "DialListenUnix": "nobody knows a prefix's network",
			"DialRefused": "nobody knows a prefix's network",
		},
	})
}

// A prefix that starts another session, as docker exec does in another place: what runs there has
// neither our group nor our terminal.
func TestConnPrefixSession(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("session: no setsid program")
	}
	const network, terminal = "nobody knows a prefix's network", "setsid leaves the terminal behind"
	computetest.Conn(t, computetest.ConnOptions{
		New: func(*testing.T) compute.Conn {
			return process.New(process.Options{Prefix: []string{"setsid", "-w"}, Root: "/"})
		},
		Dir: scratch(t), Shell: true, Marked: true,
		Skip: map[string]string{
			"DialListenTCP": network, "DialListenUnix": network, "DialRefused": network, "ControlC": terminal, "Resize": terminal,
			"DeadlySignal": "setsid tells no signals", "DescendantsSignal": "setsid tells no signals",
			"DeathBySignal": "setsid tells no signals",
		},
	})
}

// tinyRoot returns a copy of the lab's busybox root, with the devices that the suite reads.
func tinyRoot(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("chroot: needs root")
	}
	kv := computetest.Lab{Set: "remote", Net: 20}.Run(t, "base-rootfs", "tiny")
	root := filepath.Join(scratch(t), "root")
	for _, args := range [][]string{
		{"cp", "-a", kv["rootfs"], root}, {"mknod", "-m", "666", root + "/dev/null", "c", "1", "3"},
		{"mknod", "-m", "666", root + "/dev/zero", "c", "1", "5"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: err = %v: out = %s; want no error", args, err, out)
		}
	}
	return root
}

// withProc has a root show its processes, until the test ends.
func withProc(t *testing.T, root string) {
	t.Helper()
	proc := filepath.Join(root, "proc")
	if err := os.MkdirAll(proc, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "proc", "proc", proc).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", proc).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
}
