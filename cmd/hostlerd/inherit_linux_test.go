package main

import (
	"io"
	"os"
	"testing"
	"time"
)

// TestInherited: what hostler starts and leaves running has none of the descriptors that hostler
// was given.
func TestInherited(t *testing.T) {
	path := plainPath(t)
	sandboxes(t)
	m := shownMachine(t)
	m.program = lookIn(path, "hostler")
	m.source("box", "type = sandbox\n\n[sandbox]\nnetwork = none\n")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := m.command("acquire", "-s", "box")
	cmd.ExtraFiles = []*os.File{nil, nil, w}
	out, err := cmd.CombinedOutput()
	_ = w.Close()
	if err != nil {
		t.Fatalf("err = %v\nout = %s; want no error", err, out)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(r)
		ended <- err
	}()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("something holds the pipe that hostler was given")
	}
	if out, err := m.command("release", "--all", "--wait").CombinedOutput(); err != nil {
		t.Errorf("err = %v\nout = %s; want no error", err, out)
	}
}
