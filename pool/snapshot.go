package pool

import (
	"cmp"
	"context"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/pool/lifecycle"
	"github.com/hostler-project/hostler/store"
)

// Snapshot copies the state of the configured sources, with the ready instances of those for which
// idlers returns true. idlers may be nil. It is called inside of a transaction, and must be quick.
// Snapshot changes nothing, and extends no lease.
func (p *Pool) Snapshot(ctx context.Context, idlers func(plan.SourceState) bool) (plan.Snapshot, error) {
	windows := map[string]time.Duration{}
	for _, s := range p.core.Ordered {
		if s.Window > 0 {
			windows[s.Name] = s.Window
		}
	}
	opened := map[string]error{}
	if err := p.providers.OpenAll(ctx, opened); err != nil {
		return plan.Snapshot{}, err
	}
	for _, s := range p.core.Ordered {
		if _, _, ok := p.ahead.Prewarm(p.core.KeyOf(s)); ok && s.Window == 0 {
			windows[s.Name] = lifecycle.AheadWindow
		}
	}
	query := p.core.Recent.Query()
	var snap plan.Snapshot
	var events []*compute.Event
	err := p.core.Store.View(ctx, func(tx store.Tx) (err error) {
		snap = plan.Snapshot{Time: time.Now()}
		if events = nil; len(windows) > 0 {
			if events, err = tx.Events(query); err != nil {
				return err
			}
			p.core.Recent.Read(windows, events) // reading an event twice does no harm
		}
		recs, err := tx.Sources("")
		if err != nil {
			return err
		}
		noted, err := lifecycle.ReadAhead(tx)
		if err != nil {
			return err
		}
		vain, err := unready(tx)
		if err != nil {
			return err
		}
		snap.Left = p.ahead.Left(recs, noted, snap.Time)
		m, booked, stirring, err := p.background.UnderWay(tx, recs)
		if err != nil {
			return err
		}
		own, others := map[string]*store.SourceRecord{}, map[string]int{}
		for _, r := range recs {
			if p.core.Configured(r) != nil {
				own[r.Name] = r
			} else if s := p.core.Sources[r.Name]; s != nil && s.Place == r.Place {
				others[r.Name] += r.Counts.Present()
			}
		}
		for _, s := range p.core.Ordered {
			st := plan.SourceState{Name: s.Name, Type: s.Type, Health: inventory.Health{Broken: cmp.Or(s.Err, opened[s.Name])},
				Reserve: s.Reserve, Spare: s.Spare, Idle: s.Idle,
				Waiting: m.AsKept[s.Name], Asked: m.Other[s.Name], Present: others[s.Name]}
			if s.Err == nil {
				st.Maximum = p.records.Maximum(s)
			}
			if w := windows[s.Name]; w > 0 {
				st.Demand = p.core.Recent.Demand(s.Name, w, snap.Time)
			}
			r := own[s.Name]
			if r == nil {
				snap.Sources = append(snap.Sources, st)
				continue
			}
			st.Unready = vain[r.Key]
			st.Counts, st.Target = r.Counts, r.Target
			r.Tell(&st.Health)
			st.Present += r.Counts.Present()
			st.Ahead = p.ahead.AheadOf(r.Key, noted)
			st.Booked, st.Cold = booked[r.Key], stirring[r.Key]
			// how many ready ones run must always be known
			if o := p.providers.Ready(r.Key); o != nil && o.Stops && s.Cold > 0 {
				st.ColdMost = s.Cold
				if err := p.health.SeeAll(tx, r, &st, snap.Time); err != nil {
					return err
				}
			}
			snap.Sources = append(snap.Sources, st)
		}
		if idlers == nil {
			return nil
		}
		return p.health.See(tx, own, snap, idlers)
	})
	return snap, err
}
