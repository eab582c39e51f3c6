package pool

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// Snapshot copies the state of the configured sources, with the ready instances of those for which
// idlers returns true. idlers may be nil. It is called inside of a transaction, and must be quick.
// Snapshot changes nothing, and extends no lease.
func (p *Pool) Snapshot(ctx context.Context, idlers func(compute.SourceState) bool) (compute.Snapshot, error) {
	windows := map[string]time.Duration{}
	for _, s := range p.core.ordered {
		if s.Window > 0 {
			windows[s.Name] = s.Window
		}
	}
	opened := map[string]error{}
	if err := p.providers.openAll(ctx, opened); err != nil {
		return compute.Snapshot{}, err
	}
	for _, s := range p.core.ordered {
		if r, _ := p.ahead.reserver(p.core.keyOf(s)); r != nil && s.Window == 0 {
			windows[s.Name] = aheadWindow
		}
	}
	query := p.core.recent.Query()
	var snap compute.Snapshot
	var events []*compute.Event
	err := p.core.store.View(ctx, func(tx store.Tx) (err error) {
		snap = compute.Snapshot{Time: time.Now()}
		if events = nil; len(windows) > 0 {
			if events, err = tx.Events(query); err != nil {
				return err
			}
			p.core.recent.Read(windows, events) // reading an event twice does no harm
		}
		recs, err := tx.Sources("")
		if err != nil {
			return err
		}
		noted, err := readAhead(tx)
		if err != nil {
			return err
		}
		vain, err := unready(tx)
		if err != nil {
			return err
		}
		snap.Left = p.ahead.left(recs, noted, snap.Time)
		m, booked, stirring, err := p.background.underWay(tx, recs)
		if err != nil {
			return err
		}
		own, others := map[string]*store.SourceRecord{}, map[string]int{}
		for _, r := range recs {
			if p.core.configured(r) != nil {
				own[r.Name] = r
			} else if s := p.core.sources[r.Name]; s != nil && s.Place == r.Place {
				others[r.Name] += r.Counts.Present()
			}
		}
		for _, s := range p.core.ordered {
			st := compute.SourceState{Name: s.Name, Type: s.Type, Health: compute.Health{Broken: cmp.Or(s.Err, opened[s.Name])},
				Reserve: s.Reserve, Spare: s.Spare, Idle: s.Idle,
				Waiting: m.AsKept[s.Name], Asked: m.Other[s.Name], Present: others[s.Name]}
			if s.Err == nil {
				st.Maximum = p.records.maximum(s)
			}
			if w := windows[s.Name]; w > 0 {
				st.Demand = p.core.recent.Demand(s.Name, w, snap.Time)
			}
			r := own[s.Name]
			if r == nil {
				snap.Sources = append(snap.Sources, st)
				continue
			}
			st.Unready = vain[r.Key]
			st.Counts, st.Aim = r.Counts, r.Aim
			r.Tell(&st.Health)
			st.Present += r.Counts.Present()
			st.Ahead = p.ahead.aheadOf(r.Key, noted)
			st.Booked, st.Cold = booked[r.Key], stirring[r.Key]
			// how many ready ones run must always be known
			if o := p.providers.ready(r.Key); o != nil && o.stops && s.Cold > 0 {
				st.ColdMost = s.Cold
				if err := p.health.seeAll(tx, r, &st, snap.Time); err != nil {
					return err
				}
			}
			snap.Sources = append(snap.Sources, st)
		}
		if idlers == nil {
			return nil
		}
		return p.health.see(tx, own, snap, idlers)
	})
	return snap, err
}

// openAll opens the providers of sources that have instances or should have some: only then their
// maximum and abilities are known. It puts those that do not open into failed; the error is the
// store's.
func (p *providers) openAll(ctx context.Context, failed map[string]error) error {
	busy := map[string]bool{}
	err := p.core.store.View(ctx, func(tx store.Tx) error {
		clear(busy)
		recs, err := tx.Sources("")
		if err != nil {
			return err
		}
		for _, r := range recs {
			busy[r.Name] = busy[r.Name] || r.Counts != (compute.Counts{})
		}
		ws, err := tx.Waiters()
		for _, w := range ws {
			busy[w.Source] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, s := range p.core.ordered {
		if s.Err != nil || !(busy[s.Name] || s.Reserve > 0 || s.Spare > 0 || s.Window > 0 || s.Ahead) || p.isOpen(s) {
			continue
		}
		all.Go(func() {
			if err := p.learn(ctx, s); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed[s.Name] = err
			}
		})
	}
	all.Wait()
	return nil
}

// isOpen reports whether all sources below a source are known and open.
func (p *providers) isOpen(s *Source) bool {
	p.core.mu.Lock()
	defer p.core.mu.Unlock()
	for _, c := range s.All() {
		if key := p.core.at(c).key; key == 0 || c.Type != allocate.PoolType && p.opened[key] == nil {
			return false
		}
	}
	return true
}

// underWay returns what waiting requests need. By record it returns how many instances being made
// belong to a request, and how many cold ones are being stopped.
func (p *background) underWay(tx store.Tx, recs []*store.SourceRecord) (m *allocate.Needs, booked, stirring map[int64]int, err error) {
	booked, stirring = map[int64]int{}, map[int64]int{}
	if m, err = allocate.Demands(p.records.view(tx)); err != nil {
		return nil, nil, nil, err
	}
	for _, r := range recs {
		if r.Counts.Creating+r.Counts.SettingUp+r.Counts.Cleaning == 0 {
			continue
		}
		is, err := tx.Instances(compute.InstanceQuery{SourceKey: r.Key, Busy: true})
		if err != nil {
			return nil, nil, nil, err
		}
		for _, i := range is {
			switch i.State {
			case compute.Creating, compute.SettingUp:
				if i.Wanted != "" && !i.Fill {
					booked[r.Key]++
				}
			case compute.Cleaning:
				if i.Cause == compute.CauseStop {
					stirring[r.Key]++
				}
			}
		}
	}
	return m, booked, stirring, nil
}
