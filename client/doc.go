// Package client is the Go SDK of a controller: it takes leases, uses instances and gives them back
// over HTTP. It has the interface of the engine in the caller's own process (compute.Leaser), and
// imports no part of the controller.
//
//	c, err := client.New(client.Options{URL: "https://hostler.example.org", Token: token})
//	leases, err := c.Acquire(ctx, compute.Request{Source: "web", Count: 1})
//	who, name := compute.Who{Lease: leases[0].ID}, leases[0].Instance
//	exit, err := c.Run(ctx, who, name, &compute.Command{Args: []string{"make"}})
//	err = c.Release(ctx, who, compute.ReleaseOptions{}, name)
//
// Errors have compute's kinds, so errors.Is works across the wire. After a lost answer, requests
// that make something are repeated with the same key.
package client
