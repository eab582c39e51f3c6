//go:build linux

package container_test

import (
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/container"
	"github.com/hostler-project/hostler/run/workspace/workspacetest"
)

// TestWorkspaces runs the suite of copies of working trees in containers.
func TestWorkspaces(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		p := open(t, d, container.Options{})
		create(t, p, "suite-1")
		workspacetest.Run(t, workspacetest.Options{User: "nobody", Conn: func(t *testing.T) compute.Conn {
			conn, err := p.Connect(t.Context(), "suite-1")
			if err != nil {
				t.Fatal(err)
			}
			return conn
		}})
	})
}
