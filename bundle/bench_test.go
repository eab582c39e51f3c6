package bundle_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/compute"
)

// BenchmarkApplyUnchanged looks at 100 files that are as they should be: one command, beside one
// that does nothing.
func BenchmarkApplyUnchanged(b *testing.B) {
	p := newPlace(b)
	files, list := map[string]string{}, []string{}
	for i := range 100 {
		name := fmt.Sprintf("f%d", i)
		files["b/files/"+name] = strings.Repeat(name+"\n", 100)
		list = append(list, p.path("etc/"+name))
	}
	files["b/bundle.conf"] = "files = " + strings.Join(list, ",")
	pl, err := conf(b, files).Plan(b.Context(), []string{"b"}, bundle.PlanOptions{})
	if err != nil {
		b.Fatal(err)
	}
	apply := func() *bundle.Result {
		r, err := bundle.Apply(b.Context(), p, pl, bundle.ApplyOptions{As: "self", State: p.path("state")})
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	apply()
	p.taken()
	var bare, ours time.Duration
	n := 0
	for b.Loop() {
		n++
		start := time.Now()
		if _, err := p.Run(b.Context(), &compute.Command{Args: []string{"sh", "-c", ":"}}); err != nil {
			b.Fatal(err)
		}
		bare += time.Since(start)
		start = time.Now()
		if r := apply(); r.Changed() != 0 {
			b.Fatal(actions(r))
		}
		ours += time.Since(start)
	}
	b.ReportMetric(float64(p.taken())/float64(n)-1, "round-trips/op")
	b.ReportMetric(float64(ours)/float64(bare), "x-bare-command")
	b.ReportMetric(float64(ours.Microseconds())/float64(n)/1000, "ms/apply")
}
