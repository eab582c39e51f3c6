package agent_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

// A server can be ended with a reason. Its clients get the reason, with its kinds and its mark.
func TestEndedWithCause(t *testing.T) {
	for _, c := range []struct {
		cause error
		want  string
		ended bool
	}{
		{
			&compute.Error{ID: "pods-3", Kind: compute.ErrNotLeased, Err: compute.Ended(errors.New("the lease has ended: evicted"))},
			"evicted", true,
		},
		{&compute.Error{ID: "pods-3", Kind: compute.ErrNotLeased, Err: errors.New("the lease has ended: released")}, "released", false},
		{nil, "the other side is ending", false},
	} {
		leaks(t)
		a, b := pair(t)
		ctx, end := context.WithCancelCause(t.Context())
		served := make(chan struct{})
		f := newFake()
		go func() {
			defer close(served)
			_ = agent.Serve(ctx, b, f, agent.Options{})
		}()
		client := agent.New(a)
		_, err := client.Run(t.Context(), &compute.Command{Args: []string{"wait"}, Stdout: onWrite(func() { end(c.cause) })})
		if !errors.Is(err, compute.ErrLost) || !strings.Contains(err.Error(), c.want) ||
			errors.Is(err, compute.ErrEnded) != c.ended || errors.Is(err, compute.ErrNotLeased) != (c.cause != nil) {
			t.Errorf("%v: err = %v", c.cause, err)
		}
		end(nil)
		<-served
		_ = client.Close()
	}
}

// onWrite is called for each piece of output.
type onWrite func()

func (f onWrite) Write(b []byte) (int, error) {
	f()
	return len(b), nil
}
