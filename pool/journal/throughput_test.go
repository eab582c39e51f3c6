package journal

import (
	"fmt"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
)

func TestHold(t *testing.T) {
	s := time.Second
	for _, c := range []struct {
		ended, living []time.Duration
		want          time.Duration
	}{
		{nil, nil, 0},
		{nil, []time.Duration{4 * s, 2 * s}, 0}, // no sign yet that any ends
		{[]time.Duration{4 * s, 2 * s}, nil, 3 * s},
		{[]time.Duration{4 * s, 2 * s}, []time.Duration{6 * s}, 6 * s},
	} {
		if got := holdOf(c.ended, c.living); got != c.want {
			t.Errorf("%v ended, %v live: %v, want %v", c.ended, c.living, got, c.want)
		}
	}
}

// holdOf is how long leases last, of which some ended after so long and others have lasted so long.
func holdOf(ended, living []time.Duration) time.Duration {
	now := time.Now()
	t := &sourceThroughput{out: map[compute.ID]int64{}}
	for _, d := range ended {
		t.ended(d)
	}
	for n, d := range living {
		t.began(compute.ID(fmt.Sprint(n)), now.Add(-d))
	}
	return t.hold(now)
}
