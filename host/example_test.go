package host_test

import (
	"context"
	"fmt"
	"os"

	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/run"
	"github.com/hostler-project/hostler/run/session"
)

// A Go program has the engine that the command has: the same configuration, state and sources.
// run.Run acquires an instance, runs the command and gives the instance back. Now has the engine do
// at once what a command would leave to the keeper.
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
	_, err = run.Run(ctx, session.Plain(h.Opened(), host.LocalUser()), run.Options{
		Name: "local", Args: []string{"echo", "hello"}, Stdout: os.Stdout, Stderr: os.Stderr,
	})
	fmt.Println(err)
	// Output:
	// hello
	// <nil>
}
