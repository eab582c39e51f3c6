package cgroup_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute/computetest"
)

const insideEnv = "HOSTLER_CGROUP_INSIDE"

// archive is a cpio archive as a kernel takes it for its first root.
type archive struct {
	bytes.Buffer
	inode int
}

func (a *archive) add(name string, mode uint32, content []byte) {
	a.inode++
	fmt.Fprintf(
		a, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00", a.inode, mode, 0, 0, 1, 0, len(content),
		0, 0, 0, 0, len(name)+1, 0, name,
	)
	a.pad()
	a.Write(content)
	a.pad()
}

func (a *archive) pad() {
	for a.Len()%4 != 0 {
		a.WriteByte(0)
	}
}

// The tests of this package once more in virtual machines that have nothing but version 2, and
// nothing but version 1, which one machine cannot be made to have while others use it.
func TestInVirtualMachines(t *testing.T) {
	if os.Getenv(insideEnv) != "" {
		t.Skip("cgroup: this is one")
	}
	if testing.Short() {
		t.Skip("cgroup: boots two virtual machines")
	}
	if runtime.GOARCH != "amd64" {
		t.Skip("cgroup: the lab's machines are amd64")
	}
	lab := computetest.Lab{Set: "cgroup", Net: 71}
	image, tiny := lab.Run(t, "vm-image", "make", "fast"), lab.Run(t, "base-rootfs", "tiny")
	exe := filepath.Join(t.TempDir(), "test")
	build := exec.Command("go", "test", "-c", "-o", exe, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("err = %v, out = %s; want no error", err, string(out))
	}
	for version, mounts := range map[string]string{
		"version 2": "mount -t cgroup2 none /sys/fs/cgroup",
		"version 1": "mount -t tmpfs none /sys/fs/cgroup; for c in cpu,cpuacct memory pids freezer; do " +
			"mkdir /sys/fs/cgroup/$c; mount -t cgroup -o $c none /sys/fs/cgroup/$c; done",
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			out := boot(t, image["kernel"], tiny["rootfs"], exe, mounts)
			ran := 0
			for line := range strings.Lines(out) {
				if strings.HasPrefix(strings.TrimSpace(line), "--- FAIL") {
					t.Error(strings.TrimSpace(line))
				}
				if strings.HasPrefix(line, "--- PASS") {
					ran++
				}
			}
			for _, must := range []string{
				"TestMemory", "TestPIDs", "TestCPU", "TestKill", "TestOrdinaryUser", "TestDelegatedToUser",
				"TestExamine",
			} {
				if !strings.Contains(out, "--- PASS: "+must+" ") {
					t.Errorf("%s did not pass there", must)
				}
			}
			if t.Failed() || !strings.Contains(out, "\nPASS") {
				t.Errorf("in the machine:\n%s", out)
			}
			t.Logf("%d tests passed", ran)
		})
	}
}

// boot runs the test program in a machine and returns what its console said.
func boot(t *testing.T, kernel, rootfs, exe, mounts string) string {
	t.Helper()
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Skipf("cgroup: %v", err)
	}
	var a archive
	err = filepath.WalkDir(rootfs, func(path string, e fs.DirEntry, err error) error {
		name, _ := filepath.Rel(rootfs, path)
		if err != nil || name == "." {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		var content []byte
		switch mode := uint32(info.Mode().Perm()); {
		case e.IsDir():
			a.add(name, 0o40000|mode, nil)
		case e.Type() == fs.ModeSymlink:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			a.add(name, 0o120000|mode, []byte(link))
		case e.Type().IsRegular():
			if content, err = os.ReadFile(path); err != nil {
				return err
			}
			a.add(name, 0o100000|mode, content)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	a.add("cgroup.test", 0o100755, program)
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	a.add("testdata", 0o40755, nil)
	for _, f := range files {
		content, err := os.ReadFile("testdata/" + f.Name())
		if err != nil || f.IsDir() {
			continue
		}
		a.add("testdata/"+f.Name(), 0o100644, content)
	}
	a.add("init", 0o100755, []byte("#!/bin/sh\nexport PATH=/bin:/sbin:/usr/bin:/usr/sbin "+insideEnv+"=1\n"+
		"mkdir -p /proc /sys /dev /tmp; chmod 1777 /tmp\nmount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev\n"+
		mounts+"\ncd /; /cgroup.test -test.v\npoweroff -f\n"))
	a.add("TRAILER!!!", 0, nil)
	initrd := filepath.Join(t.TempDir(), "initrd")
	if err := os.WriteFile(initrd, a.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	// One thread runs both processors in turn: with two, each may wait for long, spinning, for the
	// other that the machine beneath does not let run, and the kernel was seen to lock up so. What
	// still locks up is booted once more, as an emulator's trouble is not what is tested here.
	for try := 1; ; try++ {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		out, err := exec.CommandContext(ctx, qemu, "-accel", "tcg,thread=single", "-m", "768", "-smp", "2", "-kernel", kernel, "-initrd", initrd, "-append",
			"console=ttyS0 quiet panic=-1 softlockup_panic=1 rdinit=/init", "-nographic", "-no-reboot", "-monitor", "none", "-nic", "none").CombinedOutput()
		locked := ctx.Err() != nil || bytes.Contains(out, []byte("softlockup: hung tasks"))
		cancel()
		if locked && try == 1 {
			t.Logf("the machine locked up (%v) and is booted again; it said:\n%s", err, out)
			continue
		}
		if err != nil {
			t.Fatalf("err = %v\nout = %s; want no error", err, out)
		}
		return strings.ReplaceAll(string(out), "\r", "")
	}
}
