package main

import (
	"os"
	"strings"
	"testing"
)

// TestOwner takes an instance as somebody who is in no list of users, whatever his environment
// calls him.
func TestOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestOwner: only root can be somebody else")
	}
	m := newMachine(t)
	m.program = lookIn(plainPath(t), "hostler") // without C it is another function that knows users
	m.as(54321)
	m.env = append(m.env, "USER=root")
	m.must("acquire", "-s", "local")
	if got := m.must("status", "--json"); !strings.Contains(got, `"owner": "uid-54321"`) {
		t.Errorf("whose it is: %s", got)
	}
	m.env = append(m.env, "USER=another", "LOGNAME=another")
	m.must("run", "local-local", "--", "true")
	m.must("release", "--all")
}
