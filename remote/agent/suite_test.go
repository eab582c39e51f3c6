package agent_test

import (
	"context"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/remote/agent"
	"github.com/hostler-project/hostler/remote/process"
)

func TestConn(t *testing.T) {
	computetest.Conn(t, computetest.ConnOptions{
		Dir:   t.TempDir(),
		Shell: true, Marked: true,
		New: func(t *testing.T) compute.Conn {
			local := process.New(process.Options{})
			t.Cleanup(func() { local.Close() })
			c, _ := connect(t, local)
			return c
		},
	})
}

// The same over a line on which one connection comes after the other.
func TestConnPort(t *testing.T) {
	computetest.Conn(t, computetest.ConnOptions{
		Dir:   t.TempDir(),
		Shell: true, Marked: true,
		New: func(t *testing.T) compute.Conn {
			local := process.New(process.Options{})
			a, b := pair(t)
			p := agent.NewPort(b)
			served := make(chan struct{})
			go func() {
				defer close(served)
				for {
					c, err := p.Accept()
					if err != nil {
						return
					}
					_ = agent.Serve(context.Background(), c, local, agent.Options{})
				}
			}()
			t.Cleanup(func() {
				_, _ = a.Close(), p.Close()
				<-served
				_ = local.Close()
			})
			return agent.New(agent.Attach(a))
		},
	})
}
