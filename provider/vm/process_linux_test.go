package vm_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/provider/vm"
)

// TestLogsBounded is a machine that has said a lot: its logs are cut though nobody asks, and the
// watcher ends with it.
func TestLogsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("logs: it takes ten seconds")
	}
	o := lab(t)
	dir := t.TempDir()
	o.Dir = filepath.Join(dir, "state")
	pid, kill, err := open(t, o).Launch(
		t.Context(), dir, "logs",
		[]string{"-S", "-machine", "q35,accel=tcg", "-m", "16M", "-nodefaults", "-display", "none", "-device", "virtio-serial-pci"},
	)
	if err != nil {
		t.Fatal(err)
	}
	defer kill()
	long := bytes.Repeat([]byte("a line of a kernel that never ends\n"), 6<<20/35)
	for _, name := range []string{"console.log", "qemu.log"} {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(append(long, "its last words\n"...)); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	wait(t, "the logs are not cut", func() bool {
		for _, name := range []string{"console.log", "qemu.log"} {
			if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || len(b) != 1<<20 ||
				!bytes.HasSuffix(b, []byte("its last words\n")) {
				return false
			}
		}
		return true
	})
	if fi, err := os.Stat(filepath.Join(dir, "console.log")); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("others can read the console: %v %v", fi.Mode(), err)
	}
	watching := func() int {
		n := 0
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, l := range lines {
			if b, _ := os.ReadFile(l); bytes.HasPrefix(b, []byte("sh\x00-c\x00since()")) &&
				bytes.HasSuffix(b, []byte("\x00"+strconv.Itoa(pid)+"\x00")) {
				n++
			}
		}
		return n
	}
	if n := watching(); n != 1 {
		t.Errorf("%d watchers", n)
	}
	if err := kill(); err != nil {
		t.Fatal(err)
	}
	wait(t, "the watcher does not end", func() bool { return watching() == 0 })
}

// wait waits until ok.
func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// TestStraysOfOthers has another user's process with our mark in its environment: it is not ours to
// end.
func TestStraysOfOthers(t *testing.T) {
	mark := "mine/suite/" + strings.ReplaceAll(t.Name(), "/", "-")
	run := func(attr *syscall.SysProcAttr) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "/bin/sleep", "600")
		cmd.Env, cmd.SysProcAttr, cmd.Dir = []string{vm.Mark + "=" + mark}, attr, "/"
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	own := run(nil)
	if n, err := vm.Marked(mark); n != 1 || err != nil {
		t.Errorf("%d marked, %v", n, err)
	}
	if os.Geteuid() == 0 {
		other := run(&syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}})
		half := run(&syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 0}})
		defer func() {
			for _, cmd := range []*exec.Cmd{other, half} {
				if err := cmd.Process.Kill(); err != nil {
					t.Errorf("another's process was ended: %v", err)
				}
				_ = cmd.Wait()
			}
		}()
	}
	ended := make(chan error, 1)
	go func() { ended <- own.Wait() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := vm.Strays(ctx, mark); err != nil {
		t.Errorf("strays: %v", err)
	}
	select {
	case <-ended:
	case <-ctx.Done():
		t.Error("our own process is not ended")
	}
}
