//go:build linux

package vm_test

import (
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace/workspacetest"
)

// TestWorkspaces runs the suite of copies of working trees in a virtual machine.
func TestWorkspaces(t *testing.T) {
	p := open(t, warm(t))
	create(t, p, "suite-1")
	workspacetest.Run(t, workspacetest.Options{User: "nobody", Conn: func(t *testing.T) compute.Conn {
		conn, err := p.Connect(t.Context(), "suite-1")
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}})
}
