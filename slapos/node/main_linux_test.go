package node_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/slapos/node/nodetest"
)

// TestMain runs this program again with mounts of its own, where that is possible, so that tests
// may change what the machine says; and it is the node that a test kills.
func TestMain(m *testing.M) {
	if text := os.Getenv(dieKey); text != "" {
		die(text)
		return
	}
	const again = "HOSTLER_NODE_TEST"
	switch {
	case os.Geteuid() != 0:
	case os.Getenv(again) == "":
		cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
		cmd.Env = append(os.Environ(), again+"=1")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err == nil {
			if cmd.Wait() != nil {
				os.Exit(1)
			}
			return
		}
	default:
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			fmt.Fprintln(os.Stderr, "no mounts for the tests:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// mounts skips where a test cannot mount what only it sees.
func mounts(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 || os.Getenv("HOSTLER_NODE_TEST") == "" {
		t.Skipf("%s: mounts are made by root, in a name space that root may make", t.Name())
	}
}

// over has a file be another one until the test ends.
func over(t *testing.T, path, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "over")
	nodetest.Do(t, os.WriteFile(file, []byte(text), 0o644))
	nodetest.Do(t, unix.Mount(file, path, "", unix.MS_BIND, ""))
	t.Cleanup(func() { nodetest.Do(t, unix.Unmount(path, unix.MNT_DETACH)) })
}

// accounts gives the partitions' users names, as format does: each is at home in its partition.
func (l *lab) accounts(t *testing.T, ids ...string) {
	t.Helper()
	mounts(t)
	was, err := os.ReadFile("/etc/passwd")
	nodetest.Do(t, err)
	var b strings.Builder
	b.Write(was)
	for _, id := range ids {
		fmt.Fprintf(&b, "slap%s:x:%d:%d::%s:/bin/sh\n", id, l.User(id), l.User(id), l.At(id))
	}
	over(t, "/etc/passwd", b.String())
}
