//go:build linux

package network_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox/network"
)

func BenchmarkAttach(b *testing.B) {
	world(b)
	n, err := network.Open(b.Context(), network.Options{Installation: "bench", Dir: b.TempDir()})
	must(b, err)
	defer func() { _, _ = n.Sweep(bg(), nil) }()
	keep := newSpace(b)
	_, err = n.Attach(b.Context(), "keep", keep.file, nil)
	must(b, err)
	for name, ports := range map[string][]network.Forward{"plain": nil, "port": {{HostPort: 8080, Port: 80}}} {
		b.Run(name, func(b *testing.B) {
			var attach, detach time.Duration
			for b.Loop() {
				s := newSpace(b)
				at := time.Now()
				_, err := n.Attach(b.Context(), "box", s.file, ports)
				must(b, err)
				mid := time.Now()
				must(b, n.Detach(b.Context(), "box"))
				attach, detach = attach+mid.Sub(at), detach+time.Since(mid)
				s.end()
			}
			b.ReportMetric(float64(attach.Microseconds())/float64(b.N), "µs/attach")
			b.ReportMetric(float64(detach.Microseconds())/float64(b.N), "µs/detach")
		})
	}
	b.Run("open", func(b *testing.B) {
		o := network.Options{Installation: "bench", Dir: b.TempDir()}
		for b.Loop() {
			_, err := network.Open(b.Context(), o)
			must(b, err)
		}
	})
}

// BenchmarkManyAtOnce is 32 that want a network in the same moment, as different processes would;
// the time is until the last one has it.
func BenchmarkManyAtOnce(b *testing.B) {
	world(b)
	o := network.Options{Installation: "bench", Dir: b.TempDir()}
	var spaces []*space
	for range 32 {
		spaces = append(spaces, newSpace(b))
	}
	for b.Loop() {
		var all sync.WaitGroup
		at := time.Now()
		for i, s := range spaces {
			all.Go(func() {
				n, err := network.Open(bg(), o)
				if err == nil {
					_, err = n.Attach(bg(), compute.ID(fmt.Sprintf("box-%d", i)), s.file, nil)
				}
				if err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
		b.ReportMetric(float64(time.Since(at).Microseconds())/32, "µs/attach")
		n, err := network.Open(b.Context(), o)
		must(b, err)
		_, err = n.Sweep(b.Context(), nil)
		must(b, err)
	}
}
