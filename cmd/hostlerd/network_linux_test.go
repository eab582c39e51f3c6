package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
)

// apart says to the test binary that it is in a network name space of its own.
const apart = "HOSTLER_TEST_APART"

// ownNetwork runs this binary again in a network name space with nothing but lo, if we are root,
// and returns its exit status. What sandboxes of root's make (links, routes, rules) and the lab's
// hosts are then there, and nothing of this machine's network is touched. again: it is ours to run
// the tests.
func ownNetwork() (code int, again bool) {
	if os.Getenv(apart) != "" {
		_ = os.Unsetenv(apart)
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "lo of the tests' own network:", err)
			return 1, false
		}
		return 0, true
	}
	self, err := os.Executable()
	if os.Getuid() != 0 || err != nil {
		return 0, true
	}
	runtime.LockOSThread() // Pdeathsig is of the thread
	defer runtime.UnlockOSThread()
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = os.Stdin, os.Stdout, os.Stderr, append(os.Environ(), apart+"=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		// root of a container: no sandbox can be made there either, so the tests of them skip
		return 0, true
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, false
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode(), false
	}
	fmt.Fprintln(os.Stderr, "the tests in a network of their own:", err)
	return 1, false
}

// TestApart makes sure that root's tests are not in the machine's own network.
func TestApart(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestApart: only root's sandboxes have a network")
	}
	first, err := os.Readlink("/proc/1/ns/net")
	if err != nil {
		t.Skipf("TestApart: %v", err)
	}
	if ours, err := os.Readlink("/proc/self/ns/net"); err != nil || ours == first {
		t.Errorf("the tests run in %s, as the machine does: %v", ours, err)
	}
}
