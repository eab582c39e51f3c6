package pool_test

import (
	"context"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
)

// TestPaceAfterAQuietTime: who begins to wait after much has happened reads the end of the journal
// and no more, and takes nobody for one who still has what he had before.
func TestPaceAfterAQuietTime(t *testing.T) {
	const many = 50
	inBubble(t, nil, web(func(s *pool.Source) { s.Reserve, s.Maximum, s.Reuse = many, many, "as-is" }), func(
		t *testing.T, ctx context.Context, r *rig,
	) {
		first := r.take(t, ctx, compute.Request{})
		_, err := r.Queue(ctx)
		must(t, err)
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, first.Instance))
		for range 24 { // 2,400 lines
			time.Sleep(time.Minute)
			got, err := r.Acquire(ctx, compute.Request{Source: "web", Count: many, Owner: "ann"})
			must(t, err)
			time.Sleep(time.Second)
			var names []compute.ID
			for _, l := range got {
				names = append(names, l.Instance)
			}
			must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, names...))
		}
		read := r.PaceReads(ctx)
		if read > 2000 {
			t.Errorf("%d lines of the journal were read", read)
		}
		if got := r.PaceHold("web"); got != time.Second {
			t.Errorf("leases last for %v, want a second", got)
		}
	})
}
