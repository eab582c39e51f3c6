//go:build linux

package sandbox_test

import (
	"context"
	"os"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox"
	"github.com/hostler-project/hostler/run/workspace/workspacetest"
)

// workspaces is the suite of copies of working trees in a sandbox.
func workspaces(t *testing.T) {
	p := open(t, sandbox.Options{Dir: t.TempDir()})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "conn"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Destroy(context.WithoutCancel(t.Context()), "conn"); err != nil {
			t.Error(err)
		}
	})
	user := ""
	if os.Getuid() == 0 {
		user = "nobody"
	}
	workspacetest.Run(t, workspacetest.Options{User: user, Conn: func(t *testing.T) compute.Conn {
		conn, err := p.Connect(t.Context(), "conn")
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}})
}

func TestWorkspaces(t *testing.T) { workspaces(t) }

func TestWorkspacesAsUser(t *testing.T) {
	if asUser(t) {
		workspaces(t)
	}
}
