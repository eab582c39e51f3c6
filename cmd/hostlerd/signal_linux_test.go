package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestUnread ends a command whose output nobody takes: three times INT end us, though our own write
// does not return.
func TestUnread(t *testing.T) {
	t.Parallel() // it waits
	m := newMachine(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	pid := filepath.Join(m.dir, "pid")
	cmd := m.command("run", "local", "--wait", "1m", "--", "sh", "-c", "trap '' INT TERM; echo $$ >"+pid+"; exec yes")
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	until(t, "a full pipe", func() bool {
		n, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCINQ)
		return err == nil && n >= 60<<10
	})
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	limit := time.After(2 * patience)
	for over := false; !over; {
		_ = cmd.Process.Signal(syscall.SIGINT) // more of them than it takes
		select {
		case err := <-ended:
			if over = true; shellStatus(err) != 130 {
				t.Errorf("it ended with %v", err)
			}
		case <-time.After(100 * time.Millisecond):
		case <-limit:
			_ = cmd.Process.Kill()
			t.Fatalf("it has not ended after %v", 2*patience)
		}
	}
	text, _ := os.ReadFile(pid)
	until(t, "the command's end", func() bool { return !alive(strings.TrimSpace(string(text))) })
	if got := m.must("status", "--query", "in-use"); got != "0\n" {
		t.Errorf("in use: %s", got)
	}
}
