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

// TestSyncSSH takes a working tree along to machines behind ssh: where the agent has to be put
// first, after clients and keepers that were killed, and until the lease ends, when nothing is
// left.
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
	if got := m.must(
		"run", "far", "--sync", "--", "sh", "-c", "cat f; kill -0 "+strings.TrimSpace(line)+" 2>/dev/null || echo gone",
	); got != "threegone\n" {
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

	if got := m.must("doctor", "far"); !strings.Contains(got, "web-lab1: sync") || !strings.Contains(got, "by hostler's agent") {
		t.Errorf("doctor: %s", got)
	}
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

// marked finds processes of this machine, which has those of the lab too, with something in their
// command lines.
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

// TestHeldSSH leaves a run in a copy of the tree on a host behind ssh to itself: it goes on when
// its client, and the keeper with all connections, are gone, the copy is its own as long, and its
// record has all of it. Without a copy it is the same.
func TestHeldSSH(t *testing.T) {
	m, _ := sshMachine(t)
	m.program = lookIn(plainPath(t), "hostler") // one that has an agent
	m.must("acquire", "-s", "web", "--name", "far")
	if err := os.WriteFile(filepath.Join(m.dir, "work", "f"), []byte("one\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	go_ := "until test -e go; do sleep 0.05; done; "
	id := strings.TrimSpace(m.must(
		"run", "far", "--sync", "--detach", "--", "sh", "-c",
		`echo "$HOSTLER_WORKSPACE"; cat f; `+go_+"rm go; echo late >&2; exit 6",
	))
	var where string
	until(t, "its first words", func() bool {
		where, _, _ = strings.Cut(m.must("logs", id), "\n")
		return where != ""
	})
	var keeper struct{ PID int }
	if err := json.Unmarshal([]byte(m.must("keeper", "status", "--json")), &keeper); err != nil || keeper.PID <= 1 {
		t.Fatalf("keeper status: %v", err)
	}
	if err := syscall.Kill(keeper.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if out := m.must("runs", "show", id); !strings.Contains(out, "end        detached\n") {
		t.Errorf("without its keeper: %s", out)
	}
	next := m.command("run", "far", "--sync", "--", "cat", "f")
	var said, got strings.Builder
	waits := make(chan struct{})
	next.Stderr, next.Stdout = &seen{to: &said, word: "is in use by", when: waits}, &got
	if err := next.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-waits:
	case <-time.After(2 * patience):
		t.Error("a second run in the copy does not wait")
	}
	m.must("run", "far", "--", "touch", where+"/go")
	if err := next.Wait(); err != nil || got.String() != "one\n" {
		t.Errorf("the next run: %v, %q, %s", err, &got, &said)
	}
	out, errs, exit := m.run("attach", id)
	if exit != 6 || out != where+"\none\n" || errs != "late\n" {
		t.Errorf("attach: exit status %d, %q, %q", exit, out, errs)
	}
	until(t, "its record's end", func() bool { return strings.Contains(m.must("runs", "show", id), "end        6\n") })
	if out, errs, _ := m.run("logs", id); out != where+"\none\n" || errs != "late\n" {
		t.Errorf("logs: %q, %q", out, errs)
	}
	id = strings.TrimSpace(m.must("run", "far", "--detach", "--", "sh", "-c", "echo $$; exec sleep 4321"))
	var pid string
	until(t, "its number", func() bool {
		pid = strings.TrimSpace(m.must("logs", id))
		return pid != ""
	})
	m.must("release", "far")
	until(t, "the end with the lease", func() bool { return marked(t, "sleep\x004321") == "" })
	until(t, "its record's end", func() bool { return !strings.Contains(m.must("runs", "show", id), "end        detached\n") })
	until(t, "the agent's end", func() bool { return marked(t, filepath.Dir(where)) == "" })
}

// seen closes when as soon as a word was written.
type seen struct {
	to   *strings.Builder
	word string
	when chan struct{}
}

func (s *seen) Write(p []byte) (int, error) {
	before := strings.Contains(s.to.String(), s.word)
	n, err := s.to.Write(p)
	if !before && strings.Contains(s.to.String(), s.word) {
		close(s.when)
	}
	return n, err
}
