package leasecmd

import (
	"context"
	"slices"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// watcher gathers the data of top.
type watcher struct {
	engine cli.Engine
	where  string
	after  int64           // the newest event that was seen
	events []compute.Event // the latest events
	begun  bool
}

// look gathers the data anew.
func (w *watcher) look(ctx context.Context, now time.Time) (*TopView, error) {
	v := &TopView{At: now, Where: w.where}
	var err error
	if v.Sources, err = w.engine.Status(ctx); err != nil {
		return nil, err
	}
	var stirring, used, waiting int
	for _, s := range v.Sources {
		c := s.Counts
		stirring += c.Creating + c.SettingUp + c.Cleaning + c.Discarding + c.Failed + c.Held
		used += c.InUse()
		waiting += s.Waiting
	}
	if q, ok := w.engine.(interface {
		Queue(ctx context.Context) ([]inventory.Queued, error)
	}); ok && waiting > 0 {
		if v.Queue, err = q.Queue(ctx); err != nil {
			return nil, err
		}
	}
	if stirring > 0 {
		if v.Moving, err = w.engine.Instances(ctx, inventory.InstanceQuery{Limit: topLeases, States: []compute.State{compute.Creating,
			compute.SettingUp, compute.Cleaning,
			compute.Discarding, compute.Failed, compute.Held}}); err != nil {
			return nil, err
		}
		slices.SortStableFunc(v.Moving, func(a, b compute.Instance) int { return a.Since.Compare(b.Since) })
	}
	if used > 0 {
		if v.Leases, err = w.engine.Leases(ctx, inventory.LeaseQuery{Limit: topLeases}); err != nil {
			return nil, err
		}
		v.more = len(v.Leases) >= topLeases
	}
	q := inventory.EventQuery{After: w.after, Limit: topEvents}
	if !w.begun {
		q = inventory.EventQuery{Newest: topEvents}
	}
	found, err := w.engine.Events(ctx, q)
	if err != nil {
		return nil, err
	}
	w.begun = true
	for _, e := range found {
		w.after = max(w.after, e.ID)
	}
	w.events = append(w.events, found...)
	w.events = slices.Clone(w.events[max(0, len(w.events)-topEvents):])
	v.Events = w.events
	for _, e := range v.Events {
		if now.Sub(e.Time) > time.Minute {
			continue
		}
		switch e.Kind {
		case "leased":
			v.Given++
		case "released", "expired":
			v.Ended++
		case "failed", "paused", "unreachable", "discard-failed":
			v.failed++
		}
	}
	return v, nil
}

const (
	topLeases = 500 // the most leases that are read
	topEvents = 1000
)
