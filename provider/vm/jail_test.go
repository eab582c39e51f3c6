//go:build linux

package vm_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/vm"
	"github.com/hostler-project/hostler/remote/agent"
)

// poorEnv has the test run in this process, which is an ordinary user's, with what another built:
// the programs and the directory for all.
const poorEnv = "HOSTLER_VM_POOR"

const fullEnv = "HOSTLER_VM_FULL"

// TestInQemusPlace puts a program in qemu's place that looks for what a guest that broke out should
// not find: as root, and as an ordinary user. It takes about 8 s, for the two programs that it
// builds.
func TestInQemusPlace(t *testing.T) {
	switch at := os.Getenv(poorEnv); {
	case at != "" && os.Getenv(fullEnv) != "":
		noRoom(t, at)
		return
	case at != "":
		inQemusPlace(t, at)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("in qemu's place: only root can be both root and another")
	}
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/var/tmp", "hostler-vm-jail-*") // a place that others get to
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	key, id := 0x686f7374, 0
	if id, err = unix.SysvShmGet(key, 4096, unix.IPC_CREAT|0o666); err != nil {
		t.Fatal(err)
	}
	defer unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	var names []string
	for _, who := range []string{"root", "user"} {
		at := filepath.Join(dir, who)
		for _, sub := range []string{"canary", "state/instances/suite-2/disk.qcow2", "state/templates/t/ram", "state/canary"} {
			file := filepath.Join(at, sub)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("canary"), 0o644)); err != nil {
				t.Fatal(err)
			}
			names = append(names, file)
		}
		if err := os.WriteFile(filepath.Join(at, "image"), make([]byte, 1<<20), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "root", "qemu")
	build := exec.Command(
		"go", "build", "-ldflags", fmt.Sprintf("-X main.canaries=%s -X main.segment=%d", strings.Join(names, ":"), key),
		"-o", program, "./testdata/prisoner",
	)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("err = %v, out = %s; want no error", err, string(out))
	}
	for from, to := range map[string]string{path: "root/agent", program: "user/qemu", os.Args[0]: "user/test"} {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), b, 0o755)
		}
		if err == nil && to == "root/agent" {
			err = os.WriteFile(filepath.Join(dir, "user/agent"), b, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Run("root", func(t *testing.T) { inQemusPlace(t, filepath.Join(dir, "root")) })
	t.Run("no name spaces", func(t *testing.T) {
		machine, disks := found(t, filepath.Join(dir, "root"), (*vm.Provider).Bare)
		for _, line := range []string{"descriptors: 0 []", "capabilities: 0 []", "confined: 1", "core: 0"} {
			for _, said := range []string{machine, disks} {
				if !strings.Contains(said, line+"\n") {
					t.Errorf("not said: %s, but %s", line, said)
				}
			}
		}
	})
	// for what the jail needs: that is no reason to do without it
	t.Run("no room", func(t *testing.T) {
		at := filepath.Join(dir, "root")
		cmd := exec.Command(os.Args[0], "-test.run=^TestInQemusPlace$", "-test.v")
		cmd.Env = append(os.Environ(), poorEnv+"="+at, fullEnv+"=yes")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v:\nout = %s; want no error", err, out)
		}
	})
	t.Run("user", func(t *testing.T) {
		if b, _ := os.ReadFile("/proc/sys/user/max_user_namespaces"); strings.TrimSpace(string(b)) == "0" {
			t.Skip("in qemu's place: users have no user name spaces here")
		}
		at := filepath.Join(dir, "user")
		if out, err := exec.Command("chown", "-R", "65534:65534", at).CombinedOutput(); err != nil {
			t.Fatalf("err = %v, out = %s; want no error", err, string(out))
		}
		cmd := exec.Command(filepath.Join(at, "test"), "-test.run=^TestInQemusPlace$", "-test.v")
		cmd.Dir, cmd.Env = at, []string{poorEnv + "=" + at, "HOME=" + at, "TMPDIR=" + at, "PATH=" + os.Getenv("PATH")}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v:\nout = %s; want no error", err, out)
		}
	})
}

// found makes an instance with the program as its qemu, and one disk of its layers, and returns
// what that has found each time.
func found(t *testing.T, at string, change func(*vm.Provider)) (machine, disks string) {
	t.Helper()
	// What we have open is not for qemu, however it was opened.
	secret, err := unix.Open(filepath.Join(at, "canary"), unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(secret)
	p := open(t, prisoner(at))
	change(p)
	defer destroy(t, p, "suite-1")
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"}); err == nil ||
		!strings.Contains(err.Error(), "qemu has ended at once") {
		t.Fatal(err)
	}
	log := filepath.Join(p.Home("suite-1"), "qemu.log")
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	// The same program reads the disks that an image is made of.
	if _, err := p.Flatten(t.Context(), "suite-1"); err == nil || !strings.Contains(err.Error(), "qemu has ended at once") {
		t.Fatal(err)
	}
	again, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), string(again)
}

// inQemusPlace looks at what the program has found.
func inQemusPlace(t *testing.T, at string) {
	machine, disks := found(t, at, func(*vm.Provider) {})
	inJail(t, machine)
	inJail(t, disks)
}

// noRoom has nothing run in qemu's place where the jail cannot be made for now.
func noRoom(t *testing.T, at string) {
	if out, err := exec.Command(
		"sh", "-c", "mount --make-rprivate / && mount -t tmpfs -o size=4k,nr_inodes=1 none /run",
	).CombinedOutput(); err != nil {
		t.Fatalf("err = %v, out = %s; want no error", err, string(out))
	}
	p := open(t, prisoner(at))
	defer destroy(t, p, "suite-1")
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"}); !errors.Is(err, unix.ENOSPC) {
		t.Error(err)
	}
}

// ownUser is what the program says where it is a user of its own.
var ownUser = regexp.MustCompile(`(?m)^uid: 214[0-9]{7}$`)

// prisoner are the options with the program as qemu.
func prisoner(at string) vm.Options {
	return vm.Options{
		Source: "suite", Installation: "mine", Image: filepath.Join(at, "image"), Accel: "tcg", Network: "none",
		Dir: filepath.Join(at, "state"), Qemu: filepath.Join(at, "qemu"),
		Agent: func(string) (agent.Program, error) { return agent.Program{Path: filepath.Join(at, "agent")}, nil },
	}
}

// inJail looks at what the program has found once.
func inJail(t *testing.T, said string) {
	t.Helper()
	t.Log(said)
	for _, what := range []string{"descriptors", "canaries", "capabilities", "processes", "writable", "segments", "sysfs"} {
		if !regexp.MustCompile(`(?m)^` + what + `: 0 `).MatchString(said) {
			t.Errorf("it has found %s", what)
		}
	}
	for _, line := range []string{`hostname: 1 ["vm"]`, "confined: 1", "core: 0"} {
		if !strings.Contains(said, line+"\n") {
			t.Errorf("not said: %s", line)
		}
	}
	if os.Geteuid() == 0 && !ownUser.MatchString(said) {
		t.Error("it is not a user of its own")
	}
}

// TestWrittenMemory writes to the memory of a saved machine, as a guest may that got as far as its
// qemu: no other machine is made of it.
func TestWrittenMemory(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"state", "ram", "disk.qcow2"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 4096), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := vm.Finish(dir); err != nil || !vm.Whole(dir) {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond) // of the clock of files
	f, err := os.OpenFile(filepath.Join(dir, "ram"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	at[7] = 1
	if err := unix.Munmap(at); err != nil {
		t.Fatal(err)
	}
	if vm.Whole(dir) {
		t.Error("it counts as it was")
	}
}

// jailed looks from outside at a qemu that runs.
func jailed(t *testing.T, pid int) {
	t.Helper()
	at := func(name string) string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	status := at("status")
	for _, want := range []string{`CapPrm:\t0+\n`, `CapEff:\t0+\n`, `CapBnd:\t0+\n`, `CapAmb:\t0+\n`, `NoNewPrivs:\t1\n`, `Seccomp:\t2\n`} {
		if !regexp.MustCompile(want).MatchString(status) {
			t.Errorf("not so: %s in %s", want, status)
		}
	}
	if os.Geteuid() == 0 && !regexp.MustCompile(`Uid:\t(214\d{7})\t(214\d{7})\t(214\d{7})\t(214\d{7})\nGid:\t214`).MatchString(status) {
		t.Errorf("it is no user of its own: %s", status)
	}
	if groups := at("cgroup"); os.Geteuid() == 0 && !regexp.MustCompile(`:memory:/.*hostler-vm-|0::/.*hostler-vm-`).MatchString(groups) {
		t.Errorf("it is in no group of its own: %s", groups)
	}
	for _, space := range []string{"mnt", "pid", "ipc", "uts"} {
		theirs, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, space))
		if ours, _ := os.Readlink("/proc/self/ns/" + space); ours == theirs {
			t.Errorf("it is in our %s name space", space)
		}
	}
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		if fi, err := os.Stat(fd); err == nil && fi.IsDir() {
			t.Errorf("it has a directory open: %s", fd)
		}
	}
	top, err := os.ReadDir(fmt.Sprintf("/proc/%d/root", pid))
	for _, e := range top {
		if !strings.Contains(" dev etc lib lib64 tmp usr var ", " "+e.Name()+" ") {
			t.Errorf("in its root is %s", e.Name())
		}
	}
	if err != nil || len(top) == 0 {
		t.Errorf("its root: %v", err)
	}
}

// TestTap has qemu in a network name space of its own use a link of this machine's, which it is
// handed.
func TestTap(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("tap: only root makes links")
	}
	o := lab(t)
	link := fmt.Sprintf("hltap%d", os.Getpid()%100000)
	if out, err := exec.Command("ip", "tuntap", "add", "dev", link, "mode", "tap").CombinedOutput(); err != nil {
		t.Skipf("tap: %v: %s", err, out)
	}
	defer func() {
		if out, err := exec.Command("ip", "link", "delete", link).CombinedOutput(); err != nil {
			t.Errorf("%v: out = %s; want no error", err, out)
		}
	}()
	if out, err := exec.Command("ip", "link", "set", link, "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: out = %s; want no error", err, out)
	}
	o.Dir, o.Network = filepath.Join(t.TempDir(), "state"), "tap:"+link
	p := open(t, o)
	defer destroy(t, p, "suite-1")
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(t.Context(), "suite-1"); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile("/sys/class/net/" + link + "/carrier"); err != nil || strings.TrimSpace(string(b)) != "1" {
		t.Errorf("nobody is at the link: %q, %v", b, err)
	}
	pid, _ := p.PID("suite-1")
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	if ours, _ := os.Readlink("/proc/self/ns/net"); err != nil || ours == theirs {
		t.Errorf("it is in our network: %v", err)
	}
}
