package agent_test

import (
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/remote/process"
)

func TestConn(t *testing.T) {
	computetest.Conn(t, computetest.ConnOptions{
		Dir:   t.TempDir(),
		Shell: true,
		New: func(t *testing.T) compute.Conn {
			local := process.New(process.Options{})
			t.Cleanup(func() { local.Close() })
			c, _ := connect(t, local)
			return c
		},
	})
}
