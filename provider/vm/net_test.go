//go:build linux

package vm_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/vm"
	"github.com/hostler-project/hostler/remote/agent"
)

// TestWalledIn: a qemu with this machine's network does not reach this machine by it, and one with a policy that has its address neither. What else it
// reaches is network.TestUsers'.
func TestWalledIn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("walls: only root's qemus have users of their own")
	}
	if os.Getenv("HOSTLER_VM_WALLS") == "" { // the table is of the network in which it is made
		cmd := exec.Command(os.Args[0], "-test.run=^TestWalledIn$", "-test.v")
		cmd.Env = append(os.Environ(), "HOSTLER_VM_WALLS=yes")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "--- SKIP") {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/var/tmp", "hostler-vm-walls-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	qemu := filepath.Join(dir, "qemu")
	build := exec.Command("go", "build", "-ldflags", "-X main.address="+l.Addr().String(), "-o", qemu, "./testdata/caller")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	if out, err := exec.Command(qemu).CombinedOutput(); !strings.Contains(string(out), "reached: true") {
		t.Fatalf("outside of the wall: %v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "image"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	for i, egress := range [][]string{{"none"}, nil, {"internet", "private", "127.0.0.1"}} { // none first: no other has put up the wall
		o := vm.Options{
			Source: "suite", Installation: "mine", Image: filepath.Join(dir, "image"), Accel: "tcg", Egress: egress, Dir: filepath.Join(dir, strconv.Itoa(i)), Qemu: qemu,
			Agent: func(string) (agent.Program, error) { return agent.Program{Path: path}, nil },
		}
		p := open(t, o)
		if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"}); err == nil || !strings.Contains(err.Error(), "reached: false") {
			t.Errorf("egress = %v: %v", egress, err)
		}
		destroy(t, p, "suite-1")
	}
}
