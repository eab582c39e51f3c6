//go:build linux

package sandbox_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/sandbox"
	"github.com/hostler-project/hostler/provider/sandbox/uids"
)

// TestUIDsOfTheDying: the user ids of a sandbox are nobody else's as long as any of its processes
// is there, also when its first process has let go of them.
func TestUIDsOfTheDying(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("uids: an ordinary user's sandboxes have his own")
	}
	freezer := "/sys/fs/cgroup/freezer"
	if _, err := os.Stat(freezer + "/tasks"); err != nil {
		t.Skip("uids: without a freezer of control groups of version 1 no process stays when it is killed")
	}
	freezer += "/" + mine()
	if err := os.Mkdir(freezer, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(freezer, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		_ = os.WriteFile(filepath.Join(freezer, "freezer.state"), []byte("THAWED"), 0o644)
		for try := 0; os.Remove(freezer) != nil; try++ {
			if try == 3000 {
				t.Error("the frozen process does not end")
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	j := newJail(t, sandbox.Options{})
	mark := strconv.Itoa(3_600_000 + os.Getpid())
	if got := j.try("", "stay", mark); got != "open" {
		t.Fatal(got)
	}
	pid, uid := sleeper(t, mark)
	slot := (uid - 0x70000000) >> 16
	write("tasks", strconv.Itoa(pid))
	write("freezer.state", "FROZEN")
	for try := 0; ; try++ {
		if b, err := os.ReadFile(filepath.Join(freezer, "freezer.state")); err == nil && string(b) == "FROZEN\n" {
			break
		}
		if try == 3000 {
			t.Fatal("it does not freeze")
		}
		time.Sleep(10 * time.Millisecond)
	}
	other := func() int {
		t.Helper()
		taken, err := uids.Take(slot)
		if err != nil {
			t.Fatal(err)
		}
		defer taken.File.Close()
		return taken.First
	}
	if got := other(); got == uid {
		t.Errorf("those of one that lives were given away: %#x", got)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	if err := j.p.Destroy(ctx, "jail"); err == nil {
		t.Fatal("it has ended, so this proves nothing")
	}
	if got := other(); got == uid {
		t.Errorf("those of one whose processes are still there were given away: %#x", got)
	}
	write("freezer.state", "THAWED")
	j.end()
	if got := other(); got != uid {
		t.Errorf("%#x is not given again, but %#x", uid, got)
	}
}

// sleeper finds the process that sleeps so long, and whose it is.
func sleeper(t *testing.T, n string) (pid, uid int) {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil && strings.HasSuffix(string(b), "sleep\x00"+n+"\x00") {
			pid, _ = strconv.Atoi(filepath.Base(filepath.Dir(name)))
			var st unix.Stat_t
			if err := unix.Stat(filepath.Dir(name), &st); err != nil {
				t.Fatal(err)
			}
			return pid, int(st.Uid)
		}
	}
	t.Fatal("there is no such process")
	return 0, 0
}
