package main

import (
	"fmt"
	"testing"

	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
)

// BenchmarkAPIProcess measures what an acquire and its release take by an address, through the API
// process and without it.
func BenchmarkAPIProcess(b *testing.B) {
	const each = 50
	var ways []*timed
	for _, way := range []string{"off", "on"} {
		b.Setenv("HOSTLER_TEST_API_PROCESS", way)
		m := newMachine(b)
		url := startController(b, m.env, m.work, m.runtime(), b.Cleanup, "--listen", "127.0.0.1:0", "--no-fill")
		c, err := client.New(client.Options{URL: url, Token: m.token()})
		if err != nil {
			b.Fatalf("client.New: %v", err)
		}
		b.Cleanup(func() { _ = c.Close() })
		ways = append(ways, &timed{name: "acquire and release, API process " + way, run: func() error {
			for range each {
				got, err := c.Acquire(b.Context(), compute.Request{Source: "local", Count: 1})
				if err != nil {
					return err
				}
				if err := c.Release(b.Context(), compute.Who{Admin: true}, compute.ReleaseOptions{}, got[0].Instance); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	b.ResetTimer()
	inTurn(b, 21, ways...)
	off, on := ms(ways[0].median())/each, ms(ways[1].median())/each
	fmt.Printf("\nmedians: without %.2f ms, with %.2f ms\n", off, on)
	row(b, "acquire + release through the API process / without", on/off, "x", "<= 2")
}
