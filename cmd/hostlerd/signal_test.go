package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/hostler-project/hostler/cli/term"
)

// patience is how long a test waits for what must come; it is no measure of speed.
const patience = 30 * time.Second

// until waits for something to become true.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: not after %v", what, patience)
}

// start starts hostler and returns when the command that it runs has printed a line, with that
// line.
func (m *machine) start(args ...string) (*exec.Cmd, string, *bufio.Reader) {
	m.t.Helper()
	cmd := m.command(args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	if err != nil {
		m.t.Fatalf("hostler %q: %q %v", args, line, err)
	}
	return cmd, strings.TrimSpace(line), r
}

// shellStatus is the exit status that a shell tells: of one that a signal ended, who has given its
// signals back already, it is 128 and the signal's number.
func shellStatus(err error) int {
	if e, ok := err.(*exec.ExitError); ok {
		if ws, ok := e.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal())
		}
	}
	return exitOf(err)
}

func exitOf(err error) int {
	if e, ok := err.(*exec.ExitError); ok {
		return e.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

func alive(pid string) bool {
	n, _ := strconv.Atoi(pid)
	if syscall.Kill(n, 0) != nil {
		return false
	}
	stat, _ := os.ReadFile("/proc/" + pid + "/stat")
	return !bytes.Contains(stat, []byte(") Z "))
}

// TestSignals sends each signal to a run on a source: it reaches the command, whose status is ours,
// and the instance is given back.
func TestSignals(t *testing.T) {
	m := newMachine(t)
	for name, signal := range map[string]syscall.Signal{
		"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "QUIT": syscall.SIGQUIT,
		"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
	} {
		script := "trap 'echo got " + name + "; exit 9' " + name + "; echo $$; while :; do sleep 0.05; done"
		cmd, _, out := m.start("run", "local", "--wait", "1m", "--", "sh", "-c", script)
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		rest, _ := io.ReadAll(out)
		if err := cmd.Wait(); exitOf(err) != 9 || string(rest) != "got "+name+"\n" {
			t.Errorf("%s: exit status %d, output %q", name, exitOf(err), rest)
		}
		if got := m.must("status", "--query", "in-use"); got != "0\n" {
			t.Errorf("%s: in use: %s", name, got)
		}
	}
}

// TestSignalThatKills ends a command that does nothing about signals: 128 and the signal's number,
// and nothing of it is left.
func TestSignalThatKills(t *testing.T) {
	m := newMachine(t)
	cmd, pid, _ := m.start("run", "local", "--", "sh", "-c", "echo $$; sleep 600 & wait")
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); exitOf(err) != 143 {
		t.Errorf("exit status %d", exitOf(err))
	}
	until(t, "the command's end", func() bool { return !alive(pid) })
	// Three times INT ends what does not want to.
	cmd, pid, _ = m.start("run", "local", "--", "sh", "-c", "trap '' INT TERM; echo $$; while :; do sleep 0.05; done")
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for sent := 1; ; sent++ {
		_ = cmd.Process.Signal(syscall.SIGINT)
		select {
		case err := <-ended:
			if sent < 3 || shellStatus(err) != 130 {
				t.Errorf("%v after %d", err, sent)
			}
		case <-time.After(100 * time.Millisecond):
			// two that come while it does not run are one, so there may be more
			if sent*100 < int(patience/time.Millisecond) {
				continue
			}
			_ = cmd.Process.Kill()
			t.Fatal("it has not ended")
		}
		break
	}
	until(t, "the command's end", func() bool { return !alive(pid) })
	if got := m.must("status", "--query", "in-use"); got != "0\n" {
		t.Errorf("in use: %s", got)
	}
}

// TestSignalInQueue interrupts a run that waits.
func TestSignalInQueue(t *testing.T) {
	m := newMachine(t)
	m.must("acquire", "-s", "local")
	cmd := m.command("run", "local", "--", "echo", "never")
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "a waiter", func() bool { return strings.Contains(m.must("status"), "1 waiting") })
	_ = cmd.Process.Signal(syscall.SIGINT)
	if err := cmd.Wait(); exitOf(err) != 130 {
		t.Errorf("exit status %d", exitOf(err))
	}
	until(t, "an empty queue", func() bool { return !strings.Contains(m.must("status"), "waiting") })
	if text := errs.String(); !strings.Contains(text, "hostler: interrupted: the command has not begun") ||
		strings.Contains(text, "context") {
		t.Errorf("it says %q", text)
	}
	cmd = m.command("acquire", "-q", "-s", "local")
	errs.Reset()
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "a waiter", func() bool { return strings.Contains(m.must("status"), "1 waiting") })
	_ = cmd.Process.Signal(syscall.SIGINT)
	if err := cmd.Wait(); exitOf(err) != 130 || errs.String() != "hostler: interrupted: nothing is acquired\n" {
		t.Errorf("exit status %d, %q", exitOf(err), errs.String())
	}
}

// TestKilled kills hostler itself while it runs a command on a source: the next command finds the
// instance free.
func TestKilled(t *testing.T) {
	m := newMachine(t)
	cmd, pid, _ := m.start("run", "local", "--", "sh", "-c", "echo $$; sleep 600")
	if got := m.must("status", "--query", "in-use"); got != "1\n" {
		t.Errorf("in use: %s", got)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	m.must("run", "local", "--", "true")
	until(t, "the command's end", func() bool { return !alive(pid) })
	if got := m.must("status", "--query", "in-use"); got != "0\n" {
		t.Errorf("in use: %s", got)
	}
}

// TestReaderGoes ends the reader of our output: the instance is given back all the same.
func TestReaderGoes(t *testing.T) {
	m := newMachine(t)
	cmd := exec.Command("sh", "-c", "hostler run local -- sh -c 'while :; do echo y || exit 3; done' 2>/dev/null | head -n 1")
	cmd.Dir, cmd.Env = filepath.Join(m.dir, "work"), m.env
	if out, err := cmd.Output(); err != nil || string(out) != "y\n" {
		t.Fatalf("out = %q err = %v; want no error and string(out) == \"y\\n\"", out, err)
	}
	until(t, "the release", func() bool { return m.must("status", "--query", "in-use") == "0\n" })
}

// TestLeaseEnds lets the lease of another's making run out under a command: warned, and ended with
// it.
func TestLeaseEnds(t *testing.T) {
	t.Parallel() // it waits
	m := newMachine(t)
	m.must("acquire", "-s", "local", "--ttl", "12s")
	_, errs, exit := m.run("run", "local-local", "--", "sleep", "600")
	if exit != 137 || !strings.Contains(errs, "hostler extend local-local") || !strings.Contains(errs, "the lease has ended") {
		t.Errorf("exit status %d, %q", exit, errs)
	}
	// A run on a source renews its own.
	m.source("brief", "type = fake\nttl = 8s\n[fake]\nrun = exec\n")
	if _, errs, exit := m.run("run", "brief", "--", "sleep", "10"); exit != 0 || errs != "" {
		t.Errorf("a run longer than its source's ttl: exit status %d, %q", exit, errs)
	}
}

// Where nobody keeps a command, --detach starts nothing, and says why.
func TestDetach(t *testing.T) {
	m := newMachine(t)
	if _, _, exit := m.run("run", "local", "--detach", "--", "true"); exit != term.ExitNotBegun {
		t.Errorf("a detached run on an instance that is given back: exit status %d", exit)
	}
	m.must("acquire", "-s", "local")
	mark := filepath.Join(m.dir, "mark")
	if _, errs, exit := m.run("run", "local-local", "--detach", "--", "touch", mark); exit != term.ExitNotBegun ||
		!strings.Contains(errs, "nobody there keeps a command") {
		t.Errorf("exit status %d, %q", exit, errs)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("it was started")
	}
	if _, errs, exit := m.run("attach", "last"); exit != 2 || !strings.Contains(errs, "nobody there keeps a command") {
		t.Errorf("attach: exit status %d, %q", exit, errs)
	}
}

// TestTerminal runs a command in a terminal: it has one, of the size of ours, which may change, and
// Ctrl-C reaches it as a character.
func TestTerminal(t *testing.T) {
	m := newMachine(t)
	cmd := m.command("run", "local", "--", "sh", "-c",
		"trap 'echo got INT; exit 5' INT; test -t 0 && test -t 1 && stty size; until stty size | grep '44 88'; do sleep 0.05; done; while :; do sleep 0.05; done")
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 33, Cols: 77})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var seen bytes.Buffer
	read := func(want string) {
		t.Helper()
		for buf := make([]byte, 256); !strings.Contains(seen.String(), want); {
			_ = f.SetReadDeadline(time.Now().Add(patience))
			n, err := f.Read(buf)
			seen.Write(buf[:n])
			if err != nil {
				t.Fatalf("%q is not in %q: %v", want, &seen, err)
			}
		}
	}
	read("33 77")
	if err := pty.Setsize(f, &pty.Winsize{Rows: 44, Cols: 88}); err != nil {
		t.Fatal(err)
	}
	read("44 88")
	if _, err := f.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	read("got INT")
	if err := cmd.Wait(); exitOf(err) != 5 {
		t.Errorf("exit status %d", exitOf(err))
	}
	// With -t and no terminal here, there is one there.
	if out := m.must("run", "local", "-t", "--", "sh", "-c", "test -t 1 && echo terminal"); out != "terminal\r\n" {
		t.Errorf("-t: %q", out)
	}
	if _, _, exit := m.run("run", "local", "--", "test", "-t", "1"); exit != 1 {
		t.Errorf("a terminal that nobody asked for: exit status %d", exit)
	}
}

// TestFollow watches what happens elsewhere: a document a line, until interrupted.
func TestFollow(t *testing.T) {
	m := newMachine(t)
	m.must("run", "local", "--", "true")
	cmd, line, out := m.start("events", "--follow", "--json")
	if !strings.Contains(line, `"kind":"made"`) {
		t.Errorf("the first event: %s", line)
	}
	m.must("acquire", "-s", "local", "--name", "seen")
	for given := 0; given < 2; { // to run, and now
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, `"kind":"leased"`) {
			given++
		}
	}
	_ = cmd.Process.Signal(syscall.SIGINT)
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted: %v", err)
	}
	cmd, line, out = m.start("status", "--watch", "--query", "in-use")
	if line != "1" {
		t.Errorf("in use: %q", line)
	}
	m.must("release", "seen")
	if line, err := out.ReadString('\n'); line != "0\n" {
		t.Errorf("after the release: %q %v", line, err)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted: %v", err)
	}
}
