package main

import (
	"bufio"
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestServeStopped makes sure that a command that runs through a controller which is told to end
// says what happened, and what to do.
func TestServeStopped(t *testing.T) {
	m := newMachine(t)
	m.source("web", "type = fake\n[fake]\nrun = exec\n")
	dir, env := m.dir, m.env
	var stop func()
	startController(t, env, dir, filepath.Join(dir, "run"), func(end func()) { stop = end })
	var said bytes.Buffer
	cmd := exec.Command("hostler", "run", "web", "--", "sh", "-c", "echo begun; sleep 3600")
	cmd.Env, cmd.Dir, cmd.Stderr = env, dir, &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	stop()
	var status syscall.WaitStatus
	if _ = cmd.Wait(); cmd.ProcessState != nil {
		status = cmd.ProcessState.Sys().(syscall.WaitStatus)
	}
	if line != "begun\n" || err != nil {
		t.Fatalf("line = %q, err = %v: said = %s; want line == \"begun\\n\" and no error", line, err, said.String())
	}
	if status.ExitStatus() != 121 ||
		!strings.Contains(
			said.String(), "the controller stopped, or was restarted, while it was used",
		) || !strings.Contains(said.String(), "hint: what ran through it has ended") {
		t.Errorf("exit status %d: %s", status.ExitStatus(), said.String())
	}
}
