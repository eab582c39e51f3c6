package kubernetes_test

import (
	"context"
	"errors"
	"strconv"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
)

// TestLostAsksOnce has contact be lost to a pod that lives on: what could be the reason the watch
// is waited for, and the API server is asked no more than once. Who has gone meanwhile waits for
// nothing, and has nothing asked.
func TestLostAsksOnce(t *testing.T) {
	t.Parallel()
	for name, leaves := range map[string]bool{"stays": false, "leaves": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := site(t)
			gate := lab.Gate(t)
			o.Kubeconfig = gate.Config
			p := open(t, o)
			if _, err := p.WatchHealth(t.Context()); err != nil {
				t.Fatal(err)
			}
			conn := ready(t, p, "suite-1")
			defer conn.Close()
			out := &lines{first: make(chan struct{})}
			done := make(chan error, 1)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			go func() {
				_, err := conn.Run(ctx, &compute.Command{Args: []string{"sh", "-c", "echo $PPID; exec sleep 1000"}, Stdout: out})
				done <- err
			}()
			<-out.first
			agent, err := strconv.Atoi(out.text) // the lab's pods run here
			if err != nil || agent <= 1 {
				t.Fatalf("agent = %v, err = %v; want no error and agent > 1", agent, err)
			}
			gate.Asked()
			if err := syscall.Kill(agent, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if leaves {
				<-conn.(interface{ Done() <-chan struct{} }).Done()
				cancel()
			}
			if err := <-done; !leaves && !errors.Is(err, compute.ErrLost) || errors.Is(err, compute.ErrEnded) || err == nil {
				t.Errorf("the command: %v", err)
			}
			most := 1
			if leaves {
				most = 0
			}
			if asked := gate.Asked(); asked["get pods"] > most || computetest.Writes(asked) > 0 {
				t.Errorf("asked were %v", asked)
			}
		})
	}
}
