package local_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace/workspacetest"
)

// TestWorkspaces runs the suite of copies of working trees on this machine, and sees that they go
// with the lease.
func TestWorkspaces(t *testing.T) {
	p := open(t, t.Name(), filepath.Join(t.TempDir(), "own"))
	user := ""
	if os.Getuid() == 0 {
		user = "nobody"
	}
	workspacetest.Run(t, workspacetest.Options{User: user, Conn: func(t *testing.T) compute.Conn {
		conn, err := p.Connect(t.Context(), "suite-local")
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}})
	if _, err := p.Clean(t.Context(), "suite-local"); err != nil {
		t.Fatal(err)
	}
	for _, dir := range p.Workspaces() {
		if _, err := os.Lstat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is there still: %v", dir, err)
		}
	}
}
