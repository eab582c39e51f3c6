//go:build linux

package network_test

import (
	"testing"
	"time"

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
