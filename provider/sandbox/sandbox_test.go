//go:build linux

package sandbox_test

import (
	"bytes"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox"
	"github.com/hostler-project/hostler/provider/sandbox/enter"
	"github.com/hostler-project/hostler/remote/agent"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "sandbox" {
		os.Exit(enter.Main(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// finder makes the test's own program the agent.
func finder(string) (agent.Program, error) {
	self, err := os.Executable()
	return agent.Program{Path: self}, err
}

func TestRun(t *testing.T) {
	p, err := sandbox.Open(t.Context(), slog.Default(), sandbox.Options{Source: "sandbox", Installation: "i", Dir: t.TempDir(), Agent: finder, Home: os.Getenv("HOME")})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		begun := time.Now()
		if _, err := p.Create(t.Context(), compute.Spec{ID: "sandbox-1"}); err != nil {
			t.Fatal(err)
		}
		t.Log("created", time.Since(begun))
		begun = time.Now()
		c, err := p.Connect(t.Context(), "sandbox-1")
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		exit, err := c.Run(t.Context(), &compute.Command{Args: []string{"true"}, Stdout: &out, Stderr: &out})
		t.Log("run", time.Since(begun), exit, err)
		exit, err = c.Run(t.Context(), &compute.Command{Args: []string{"sh", "-c", "id; ls -la / /dev; ls /proc | head -3; hostname; cat /proc/mounts; ls -la /proc/1/; touch /etc/x; pwd; ls /sys; cat /proc/self/status | grep Cap"}, Stdout: &out, Stderr: &out})
		t.Log(exit, err, out.String())
		c.Close()
		begun = time.Now()
		if err := p.Destroy(t.Context(), "sandbox-1"); err != nil {
			t.Fatal(err)
		}
		t.Log("destroyed", time.Since(begun))
	}
}
