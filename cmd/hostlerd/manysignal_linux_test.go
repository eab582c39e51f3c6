package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
)

// upTo reads lines until n of them have a word.
func upTo(t *testing.T, r *bufio.Reader, n int, word string) {
	t.Helper()
	var seen strings.Builder
	for n > 0 {
		line, err := r.ReadString('\n')
		seen.WriteString(line)
		if err != nil {
			t.Fatalf("%d more lines with %q were to come after %q: %v", n, word, &seen, err)
		}
		if strings.Contains(line, word) {
			n--
		}
	}
}

// stubborn starts something that has left its group and session, where that is to end too,
// something that has not, and stays.
func stubborn(leaves bool) string {
	if leaves {
		return "(setsid sleep 4321 </dev/null >/dev/null 2>&1 &); sleep 4321 & echo it-is-up; wait"
	}
	// what was made to outlive a terminal does, until its computer goes
	return "sleep 4321 & echo it-is-up; wait"
}

// TestManyInterrupted sends a signal to several runs at once, to a job and to watch: all that runs
// there ends, the instances are given back or kept as was asked, the exit status is the signal's,
// and the summary says what was cut.
func TestManyInterrupted(t *testing.T) {
	m := newMachine(t)
	m.source("herd", "type = fake\nmaximum = 4\n[fake]\nrun = exec\n")
	signals := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP}
	for _, c := range []struct {
		signal string
		job    bool
		args   []string // before --
		up     int
		says   string
		kept   string
	}{
		{"INT", false, []string{"run", "herd", "--on", "3"}, 3, "3 runs: 3 interrupted: interrupted while running: herd-", "0\n"},
		{
			"TERM", false, []string{"run", "herd", "--shards", "5", "--max-parallel", "2"}, 2,
			"5 runs: 2 interrupted, 3 not begun: interrupted while running: [1/5]; [2/5]", "0\n",
		},
		{
			"HUP", false, []string{"run", "herd", "--shards", "2", "--fail-fast"}, 2,
			"2 runs: 2 interrupted: interrupted while running: [1/2]; [2/2]", "0\n",
		},
		{
			"TERM", false, []string{"run", "herd", "--on", "2", "--keep"}, 2,
			"2 runs: 2 interrupted: interrupted while running: herd-", "2\n",
		},
		{"INT", true, []string{"job", "cut"}, 2, "2 runs: 2 interrupted: interrupted while running: [1/2]; [2/2]", "0\n"},
		{"INT", false, []string{"watch", "local"}, 1, "", "0\n"},
		{"TERM", false, []string{"watch", "local", "--restart"}, 1, "", "0\n"},
	} {
		mark := "CUT=" + rand.Text()
		args := append(c.args, "-e", mark, "--", "sh", "-c", stubborn(c.signal != "HUP"))
		if c.job {
			dir := filepath.Join(m.home, ".config", "hostler", "jobs")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			text := "shell = " + stubborn(true) + "\nsource = herd\nshards = 2\nenv = " + mark + "\n[sync]\nsync = no\n"
			if err := os.WriteFile(filepath.Join(dir, "cut.conf"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			args = c.args
		}
		cmd := m.command(args...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		lines := bufio.NewReader(out)
		upTo(t, lines, c.up, "it-is-up")
		if err := cmd.Process.Signal(signals[c.signal]); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, lines)
		if want := 128 + int(signals[c.signal]); exitOf(cmd.Wait()) != want ||
			!strings.Contains(errs.String(), c.says) || strings.Contains(errs.String(), "context") {
			t.Errorf(
				"%s to %q: exit status %d, %q; want %d, %q", c.signal, c.args, cmd.ProcessState.ExitCode(),
				errs.String(), want, c.says,
			)
		}
		nobody(t, mark)
		until(t, "that "+c.kept+" are in use", func() bool { return m.must("status", "--query", "in-use") == c.kept })
		if c.kept != "0\n" {
			m.must("release", "--all")
		}
	}
}

// TestManyTerminalClosed closes the terminal in which several runs are watched.
func TestManyTerminalClosed(t *testing.T) {
	m := newMachine(t)
	m.source("herd", "type = fake\nmaximum = 4\n[fake]\nrun = exec\n")
	for _, args := range [][]string{{"run", "herd", "--on", "2"}, {"watch", "herd", "--no-sync"}} {
		mark := "CUT=" + rand.Text()
		cmd := m.command(append(args, "-e", mark, "--", "sh", "-c", stubborn(false))...)
		f, err := pty.Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		n := 1
		if args[0] == "run" {
			n = 2
		}
		upTo(t, bufio.NewReader(f), n, "it-is-up")
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if exit := exitOf(cmd.Wait()); exit != 129 {
			t.Errorf("%q: exit status %d, want 129", args, exit)
		}
		nobody(t, mark)
		until(t, "that all is given back", func() bool { return m.must("status", "--query", "in-use") == "0\n" })
	}
}
