package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hostler-project/hostler/cli/term"
)

// TestRunOfAnEndedLease gives an instance back and takes it again, as the same user, while a
// command runs on it: that is not the command's lease.
func TestRunOfAnEndedLease(t *testing.T) {
	m := newMachine(t)
	m.source("here", "type = fake\nmaximum = 1\nreserve = 1\nreuse = as-is\nlease-idle = 20s\n[fake]\nrun = exec\n")
	m.must("acquire", "-s", "here")
	old, _, _ := m.start("run", "here-1", "--", "sh", "-c", "echo up; exec sleep 600")
	m.must("release", "here-1")
	m.must("acquire", "-s", "here", "--idle", "0")
	ended := make(chan error, 1)
	go func() { ended <- old.Wait() }()
	select {
	case err := <-ended:
		if exitOf(err) != 137 {
			t.Errorf("exit status %d", exitOf(err))
		}
	case <-time.After(patience):
		t.Fatal("it goes on under another lease")
	}
	m.must("run", "here-1", "--", "true")
}

// TestTurnOfAnEndedLease does so while a command waits for its turn.
func TestTurnOfAnEndedLease(t *testing.T) {
	m := newMachine(t)
	m.source("here", "type = fake\nmaximum = 1\nreserve = 1\nreuse = as-is\nconcurrency = 1\n[fake]\nrun = exec\n")
	m.must("acquire", "-s", "here", "--name", "first")
	stop := filepath.Join(m.dir, "stop")
	_, _, rest := m.start("run", "here-1", "--", "sh", "-c", "echo up; until test -e "+stop+"; do sleep 0.05; done; echo done")
	mark := filepath.Join(m.dir, "mark")
	// by the lease's name: if it comes late it is refused too
	second := m.command("run", "first", "--", "touch", mark)
	second.Stderr = os.Stderr
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // until it waits, as a rule: there is nothing to be seen of that
	m.must("release", "here-1")
	m.must("acquire", "-s", "here")
	if err := os.WriteFile(stop, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if line, err := rest.ReadString('\n'); line != "done\n" {
		t.Fatalf("the first: %q %v", line, err)
	}
	if err := second.Wait(); exitOf(err) != term.ExitNotBegun {
		t.Errorf("exit status %d", exitOf(err))
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("it ran on an instance that is not its any more")
	}
}
