package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSyncSSH takes a working tree along to machines behind ssh: where the agent has to be put first, after clients and keepers that were killed, and until the
// lease ends, when nothing is left.
func TestSyncSSH(t *testing.T) {
	m, kv := sshMachine(t)
	m.program = lookIn(plainPath(t), "hostler") // one that has an agent
	m.must("acquire", "-s", "web", "--name", "far")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(m.dir, "work", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("f", "one")
	write("large", strings.Repeat("0123456789", 300_000))
	there := func(want string) {
		t.Helper()
		if got := m.must("run", "far", "--sync", "--", "sh", "-c", "cat f; wc -c <large"); got != want+"3000000\n" {
			t.Errorf("the copy has %q, want %q", got, want)
		}
	}
	there("one")
	there("one")
	write("f", "two")
	there("two")
	m.must("run", "far", "--sync", "--", "sh", "-c", "echo changed >f; rm large")
	there("two")

	where := strings.TrimSpace(m.must("run", "far", "--sync", "--", "sh", "-c", `echo "$HOSTLER_WORKSPACE"`))
	copied := filepath.Join(kv["root1"], where)
	if b, err := os.ReadFile(filepath.Join(copied, "f")); string(b) != "two" {
		t.Fatalf("on the host: %q, %v", b, err)
	}

	// A client that is killed while its command runs: nobody waits for it, and what it ran is gone.
	cmd, line, _ := m.start("run", "far", "--sync", "--", "sh", "-c", `echo "$$"; exec sleep 1234`)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	write("f", "three")
	if got := m.must("run", "far", "--sync", "--", "sh", "-c", "cat f; kill -0 "+strings.TrimSpace(line)+" 2>/dev/null || echo gone"); got != "threegone\n" {
		t.Errorf("after a client was killed: %q", got)
	}

	// A keeper that is killed takes the agent with it; the next command has another.
	var keeper struct{ PID int }
	if err := json.Unmarshal([]byte(m.must("keeper", "status", "--json")), &keeper); err != nil || keeper.PID <= 1 {
		t.Fatalf("keeper status: %v", err)
	}
	if err := syscall.Kill(keeper.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	there("three")

	m.must("release", "far")
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Lstat(copied); os.IsNotExist(err) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%s is still there a minute after the lease has ended", copied)
		}
	}
	if left := marked(t, filepath.Dir(where)); left != "" {
		t.Errorf("left running: %s", left)
	}
}

// marked finds processes of this machine, which has those of the lab too, with something in their command lines.
func marked(t *testing.T, word string) string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range all {
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(word)) {
			found = append(found, fmt.Sprintf("%q", b))
		}
	}
	return strings.Join(found, ", ")
}
