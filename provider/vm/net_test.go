//go:build linux

package vm_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest/wayout/world"
	"github.com/hostler-project/hostler/provider/vm"
	"github.com/hostler-project/hostler/remote/agent"
)

// TestWalledIn tries all ways out of a qemu with this machine's network. A policy that has this
// machine's address does not open it.
func TestWalledIn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("walls: only root's qemus have users of their own")
	}
	if os.Getenv("HOSTLER_VM_WALLS") == "" { // the table is of the network in which it is made
		cmd := exec.Command(os.Args[0], "-test.run=^TestWalledIn$", "-test.v")
		cmd.Env = append(os.Environ(), "HOSTLER_VM_WALLS=yes")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "--- SKIP") {
			t.Errorf("%v:\nout = %s; want no error and string(out) without \"--- SKIP\"", err, out)
		}
		return
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("err = %v, out = %s; want no error", err, string(out))
	}
	end, err := world.Build() // which the network takes along
	defer end()
	if err != nil {
		t.Fatal(err)
	}
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
	build := exec.Command("go", "build", "-o", qemu, "./testdata/caller")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("err = %v, out = %s; want no error", err, string(out))
	}
	out, _ := exec.Command(qemu).CombinedOutput()
	var others int
	_, err = fmt.Sscanf(string(out), "reached: true, and %d others", &others)
	if err != nil || others < 30 {
		t.Fatalf("outside of the wall: %v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "image"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		egress []string
		want   string
	}{
		{[]string{"none"}, "false, and 0 others"}, // first: no other has put up the wall
		{nil, "true, and 0 others"},
		{[]string{"internet", "private", "127.0.0.1"}, "true, and 10 others"}, // private ones
	} {
		o := vm.Options{
			Source: "suite", Installation: "mine", Image: filepath.Join(dir, "image"), Accel: "tcg", Egress: c.egress,
			Dir: filepath.Join(dir, strconv.Itoa(i)), Qemu: qemu,
			Agent: func(string) (agent.Program, error) { return agent.Program{Path: path}, nil },
		}
		p := open(t, o)
		if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"}); err == nil || !strings.Contains(err.Error(), "reached: "+c.want) {
			t.Errorf("egress = %v: %v", c.egress, err)
		}
		destroy(t, p, "suite-1")
	}
}
