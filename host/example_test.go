package host_test

import (
	"context"
	"fmt"
	"os"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
)

// A Go program has the engine that the command has: the same configuration, state and sources.
// Now has it do at once what a command would leave to the keeper.
func Example() {
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	for _, name := range []string{"XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"} {
		_ = os.Setenv(name, dir) // for this example alone: else it is the user's own
	}
	ctx := context.Background()
	h, err := host.Open(ctx, host.Options{Tree: dir, Now: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	engine := h.Opened()
	leases, err := engine.Acquire(ctx, compute.Request{Source: "local", Count: 1, Owner: host.LocalUser()})
	if err != nil {
		fmt.Println(err)
		return
	}
	id, who := leases[0].Instance, compute.Who{Owner: leases[0].Owner, Lease: leases[0].ID}
	defer func() { fmt.Println(engine.Release(ctx, who, compute.ReleaseOptions{}, id)) }()
	conn, err := engine.Connect(ctx, who, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Close() }()
	exit, err := conn.Run(ctx, &compute.Command{Args: []string{"echo", "hello"}, Stdout: os.Stdout})
	fmt.Println(exit.Code, err)
	// Output:
	// hello
	// 0 <nil>
	// <nil>
}
