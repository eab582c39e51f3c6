package sshhost_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sshhost"
	"github.com/hostler-project/hostler/remote/agent"
	"github.com/hostler-project/hostler/run/workspace/workspacetest"
)

// guestSide builds the agent.
func guestSide(t *testing.T) agent.Finder {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hostler-agent")
	cmd := exec.Command("go", "build", "-o", path, "../../cmd/hostler-agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: out = %s; want no error", err, out)
	}
	return func(arch string) (agent.Program, error) {
		if arch != runtime.GOARCH {
			return agent.Program{}, errors.New("none for " + arch)
		}
		return agent.Program{Path: path}, nil
	}
}

// TestWorkspaces runs the suite of copies of working trees on a host that is logged into as root,
// and as somebody else, and sees that they go with the lease.
func TestWorkspaces(t *testing.T) {
	kv := lab(t)
	find := guestSide(t)
	for host, user := range map[string]string{"lab1": "user", "user@lab2:22": ""} {
		t.Run(host, func(t *testing.T) {
			p := open(
				t,
				sshhost.Options{
					Installation: t.Name(), Hosts: []string{host}, ConfigFile: kv["ssh_config"],
					Dir: filepath.Join(t.TempDir(), "own"), Agent: find,
				},
			)
			id := compute.ID("suite-" + host)
			conn, err := p.Connect(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			workspacetest.Run(t, workspacetest.Options{User: user, Conn: func(*testing.T) compute.Conn { return kept{conn} }})
			conn.Close()
			if _, err := p.Clean(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			for _, pattern := range []string{
				"/root/.cache/hostler/workspaces/*", "/home/user/.cache/hostler/workspaces/*",
				"/var/cache/hostler/workspaces/*",
			} {
				for _, root := range []string{kv["root1"], kv["root2"]} {
					if left, _ := filepath.Glob(filepath.Join(root, pattern)); len(left) > 0 {
						t.Errorf("left there: %q", left)
					}
				}
			}
		})
	}
}

// kept is a connection that many use, and none of them closes.
type kept struct{ compute.Conn }

func (k kept) Unwrap() compute.Conn { return k.Conn }
func (k kept) Close() error         { return nil }
