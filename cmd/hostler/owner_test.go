package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOwner takes an instance as somebody who is in no list of users, whatever his environment calls him.
func TestOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestOwner: only root can be somebody else")
	}
	m := newMachine(t)
	m.program = filepath.Join(t.TempDir(), "hostler") // without C it is another function that knows users
	build := exec.Command("go", "build", "-o", m.program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m.as(54321)
	m.env = append(m.env, "USER=root")
	m.must("acquire")
	if got := m.must("status", "--json"); !strings.Contains(got, `"owner": "uid-54321"`) {
		t.Errorf("whose it is: %s", got)
	}
	m.env = append(m.env, "USER=another", "LOGNAME=another")
	m.must("run", "local-local", "--", "true")
	m.must("release", "--all")
}
