package allocate

import (
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/demand"
)

// Position is the result of a look at the queue for one request.
type Position struct {
	ID        int64
	Waiter    *inventory.Waiter
	MayTake   bool
	Counted   bool // what it takes is known
	OverQuota bool // it waits for a quota
	Demand    demand.Demand
	Progress  compute.Progress
}

// Survey goes along the queue. It returns which requests may have their turn, the positions of the
// others, and how long they will wait. ours reports whether a request waits in this process, and
// whether it wants newly made instances.
func Survey(v *View, ours func(id int64) (is, fresh bool)) ([]Position, error) {
	ws, err := v.Waiters()
	if err != nil {
		return nil, err
	}
	d := newAllocation(v)
	d.queued = true
	l, err := d.queueView(d.living(ws, false))
	if err != nil {
		return nil, err
	}
	out := make([]Position, 0, len(ws))
	places, ahead, promised := map[string]int{}, map[string]int{}, map[string]int{}
	type hindrance struct {
		source string
		asks   demand.Demand
	}
	type hindered struct {
		why         string
		unreachable bool
	}
	seen := map[hindrance]hindered{}
	for _, w := range l.ordered {
		places[w.Source]++
		ahead[w.Source] += w.Count
		f := Position{ID: w.ID, Waiter: w, Progress: compute.Progress{Phase: "wait", Position: places[w.Source]}}
		s := v.ByName[w.Source]
		d.asks = DemandOfWaiter(w)
		f.Demand = d.asks
		over := l.overQuota(w)
		if f.OverQuota = over != nil; f.OverQuota {
			f.Progress.Reason = over.Error()
		}
		if s != nil && s.Err == nil {
			if f.Progress.Estimate, err = d.known.estimate(s, ahead[w.Source], over != nil); err != nil {
				return nil, err
			}
			by := hindrance{w.Source, d.asks}
			is, known := seen[by]
			if !known {
				if is.why, is.unreachable, err = d.known.hindrance(s, d.asks); err != nil {
					return nil, err
				}
				seen[by] = is
			}
			if over == nil {
				f.Progress.Reason, f.Progress.Unreachable = is.why, is.unreachable
			}
		}
		if is, fresh := ours(w.ID); over == nil && s != nil && is && !d.takenFor(s) {
			d.fresh = fresh || d.asks.Chosen()
			if s.Share {
				f.MayTake, err = d.mayFit(s, w)
			} else {
				var n int
				n, err = d.available(s)
				f.MayTake = n-promised[w.Source] >= w.Count
			}
			if err != nil {
				return nil, err
			}
		}
		// otherwise ready instances may be too small for it
		if f.MayTake && s.Type != PoolType && d.asks == (demand.Demand{}) {
			promised[w.Source] += w.Count
			f.Counted = true
		} else if over == nil {
			l.reserve(w)
		}
		out = append(out, f)
	}
	return out, nil
}

// takenFor reports whether an earlier request waits for any instance that a source has.
func (d *allocation) takenFor(s *Source) bool {
	r, err := d.known.record(s)
	return err != nil || d.claims.taken(r.Key) || s.Share && len(d.claims.wanted[r.Key]) > 0
}
