package agent_test

import (
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/remote"
)

func TestConn(t *testing.T) {
	computetest.Conn(t, computetest.ConnOptions{
		Dir:   t.TempDir(),
		Shell: true,
		New: func(t *testing.T) compute.Conn {
			local := remote.NewExec(remote.ExecOptions{})
			t.Cleanup(func() { local.Close() })
			c, _ := connect(t, local)
			return c
		},
	})
}
