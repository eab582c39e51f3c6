package node_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/proto"
)

// BenchmarkQuietPass is a pass over 100 partitions in which nothing is to be done, beside asking
// the master alone.
func BenchmarkQuietPass(b *testing.B) {
	const n = 100
	l := newLab(b, n)
	l.Light("/r", "cat >/dev/null\n")
	for i := range n {
		l.ask(fmt.Sprint("demo", i), "/r", proto.Started, nil)
	}
	l.run(0, node.Options{})
	for b.Loop() {
		l.run(0, node.Options{})
	}
	each := b.Elapsed() / time.Duration(b.N)
	began := time.Now()
	const asks = 20
	for range asks {
		_, err := l.Client.Computer(b.Context(), "C")
		do(b, err)
	}
	b.ReportMetric(float64(each)/float64(time.Since(began)/asks), "x-asking-the-master")
}
