package pool

import (
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

const (
	// sweepRows is how many ready instances one look reads, of all sources that may have too many.
	// If there are more, the next look reads on, so that each is quick. Surplus instances can wait
	// for a few looks.
	sweepRows = 1000
	// idlersMost is how many idle instances it returns, beside the cold ones: more than one look
	// can discard.
	idlersMost = 256
)

// sweep is a look at the ready instances of a source, over several rounds if there are many.
type sweep struct {
	after   int64 // the row that was read last
	idlers  []compute.Idler
	tired   int
	touched time.Time
}

// take adds instances to a sweep.
func (w *sweep) take(is []*compute.Instance, idle time.Duration, now time.Time) {
	for _, i := range is {
		w.after = i.Row
		w.idlers = append(w.idlers, compute.Idler{ID: i.ID, Since: i.Since, Cold: i.Cold})
		if !i.Cold && now.Sub(i.Since) >= idle {
			w.tired++
		}
	}
	slices.SortStableFunc(w.idlers, func(a, b compute.Idler) int { return a.Since.Compare(b.Since) })
	warm := 0
	w.idlers = slices.DeleteFunc(w.idlers, func(i compute.Idler) bool {
		if !i.Cold {
			warm++
		}
		return !i.Cold && warm > idlersMost
	})
}

// tell puts the result of a sweep into a source's state.
func (w *sweep) tell(st *compute.SourceState) { st.Idlers, st.Tired = w.idlers, w.tired }

// seeAll reads all ready instances of a source, and counts the cold ones.
func (p *health) seeAll(tx store.Tx, r *store.SourceRecord, st *compute.SourceState, now time.Time) error {
	is, err := tx.Instances(compute.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Ready}})
	if err != nil {
		return err
	}
	var w sweep
	w.take(is, st.Idle, now)
	w.tell(st)
	for _, i := range w.idlers {
		if i.Cold {
			st.Cold++
		}
	}
	return nil
}

// see reads ready instances of the sources for which idlers returns true, first of those that were
// read the longest ago.
func (p *health) see(
	tx store.Tx, own map[string]*store.SourceRecord, snap compute.Snapshot, idlers func(compute.SourceState) bool,
) error {
	p.core.mu.Lock()
	if p.sweeps == nil {
		p.sweeps = map[int64]*sweep{}
	}
	turn := map[int64]time.Time{}
	for key, w := range p.sweeps {
		turn[key] = w.touched
	}
	p.core.mu.Unlock()
	var ask []*compute.SourceState
	for n := range snap.Sources {
		if st := &snap.Sources[n]; own[st.Name] != nil && st.ColdMost == 0 && idlers(*st) {
			ask = append(ask, st)
		}
	}
	slices.SortStableFunc(ask, func(a, b *compute.SourceState) int { return turn[own[a.Name].Key].Compare(turn[own[b.Name].Key]) })
	left := sweepRows
	for _, st := range ask {
		if left <= 0 {
			break
		}
		r := own[st.Name]
		p.core.mu.Lock()
		w := sweep{touched: snap.Time}
		if old := p.sweeps[r.Key]; old != nil {
			w.after, w.tired, w.idlers = old.after, old.tired, slices.Clone(old.idlers)
		}
		p.core.mu.Unlock()
		is, err := tx.Instances(compute.InstanceQuery{
			SourceKey: r.Key, States: []compute.State{compute.Ready}, After: w.after, Limit: left,
		})
		if err != nil {
			return err
		}
		w.take(is, st.Idle, snap.Time)
		if len(is) < left { // it came to the end
			w.tell(st)
			w = sweep{touched: snap.Time}
		}
		left -= len(is)
		p.core.mu.Lock()
		p.sweeps[r.Key] = &w
		p.core.mu.Unlock()
	}
	return nil
}
