// Package client is the Go SDK of a controller: it takes leases, uses instances and gives them back
// through its HTTP API, by the same interface as the engine in one's own process (compute.Leaser).
// It imports no part of the controller.
//
//	c, err := client.New(client.Options{URL: "https://hostler.example.org", Token: token})
//	leases, err := c.Acquire(ctx, compute.Request{Source: "web", Count: 1})
//	exit, err := c.Run(ctx, compute.Who{Lease: leases[0].ID}, leases[0].Instance, &compute.Command{Args: []string{"make"}, Stdout: os.Stdout})
//	err = c.Release(ctx, compute.Who{Lease: leases[0].ID}, compute.ReleaseOptions{}, leases[0].Instance)
//
// Errors are of compute's kinds: errors.Is works across the wire.
package client
