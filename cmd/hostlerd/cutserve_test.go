package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestServeStopped: who runs a command by way of a controller that is told to end hears what
// happened, and what he can do.
func TestServeStopped(t *testing.T) {
	dir, err := os.MkdirTemp("", "hostler") // sockets have short names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	env := append(os.Environ(), environment(t, dir)...)
	source := filepath.Join(dir, "home", ".config", "hostler", "sources", "web")
	if err := os.MkdirAll(source, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(source, "source.conf"), []byte("type = fake\n[fake]\nrun = exec\n"), 0o600); err != nil {
		t.Fatal(err)
	}
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
