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
		first, release, err := sandbox.TakeUIDs(slot)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		return first
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

// TestUIDsFile: what others have had their hands in is not trusted.
func TestUIDsFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("uids: they are root's")
	}
	for name, prepare := range map[string]func(dir string) error{
		"":                     func(string) error { return nil },
		"a directory for all":  func(dir string) error { return os.Chmod(dir, 0o777) },
		"another's directory":  func(dir string) error { return os.Chown(dir, nobody, nobody) },
		"a link":               func(dir string) error { return os.Symlink("/etc/passwd", dir+"/uids") },
		"a fifo":               func(dir string) error { return unix.Mkfifo(dir+"/uids", 0o600) },
		"another's file":       func(dir string) error { return file(dir+"/uids", 0o600, nobody) },
		"a file for all":       func(dir string) error { return file(dir+"/uids", 0o666, 0) },
		"a link for directory": func(dir string) error { return swap(dir) },
	} {
		dir := filepath.Join(t.TempDir(), "run")
		err := os.Mkdir(dir, 0o755)
		if err == nil {
			err = prepare(dir)
		}
		if err != nil {
			t.Fatalf("%v, err = %v; want no error", name, err)
		}
		f, err := sandbox.OpenUIDs(dir, "uids")
		if err == nil {
			f.Close()
		}
		if (err == nil) != (name == "") {
			t.Errorf(`%s: err = %v; want (err == nil) == (name == "")`, name, err)
		}
	}
}

func file(name string, mode os.FileMode, uid int) error {
	if err := os.WriteFile(name, nil, mode); err != nil {
		return err
	}
	if err := os.Chmod(name, mode); err != nil {
		return err
	}
	return os.Chown(name, uid, uid)
}

// swap puts a link to a directory in its place.
func swap(dir string) error {
	if err := os.Rename(dir, dir+"-real"); err != nil {
		return err
	}
	return os.Symlink(dir+"-real", dir)
}
