package allocate

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/demand"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/store"
)

// A source may fail to make what one request wants and make what others want: a GPU that no node
// has, an image that does not exist. So a failure is recorded for the want that failed. A want
// without demands of its own is the source's: its failures are in the source's record, and count
// for all. The store keeps a note for each source with the others. Each of them counts for wants
// that ask for as much or more.

// DemandOf returns what a request asks for.
func DemandOf(req compute.Request) demand.Demand {
	least := sizeOf(req)
	return demand.Demand{
		Cores: least.Cores, Memory: least.Memory, Disk: least.Disk, GPUs: least.GPUs, Price: req.MaxPrice, Image: req.Image,
		Flavor: req.Flavor, Location: req.Location, Data: demand.Digest(string(req.UserData)),
	}
}

// DemandOfWaiter returns what a request in the queue asks for.
func DemandOfWaiter(w *inventory.Waiter) demand.Demand {
	if w.Asks != "" {
		return demand.Read(w.Asks)
	}
	return demand.Demand{Cores: w.Cores, Memory: w.Memory, Disk: w.Disk}
}

// DemandText returns what is recorded of a waiting request beside its sizes.
func DemandText(req compute.Request) string {
	w := DemandOf(req)
	if w.GPUs == 0 && w.Price == 0 && !w.Chosen() {
		return ""
	}
	return w.Text()
}

// backoff returns what keeps a want from being made of a source, or may: of several, the one that
// lasts longest; nil: nothing is known.
func (k *prospects) backoff(key int64, w demand.Demand) (*Backoff, error) {
	if w == (demand.Demand{}) {
		return nil, nil
	}
	all, known := k.backoffs[key]
	if !known {
		var err error
		if all, err = ReadBackoffs(k.plan, key); err != nil {
			return nil, err
		}
		if k.backoffs == nil {
			k.backoffs = map[int64][]Backoff{}
		}
		k.backoffs[key] = all
	}
	var out *Backoff
	for n := range all {
		h := &all[n]
		// a clock may have been set back
		if h.Demand.Within(w) && (h.Full > 0 || h.Paused.After(k.view.Now)) && h.Paused.Sub(k.view.Now) <= PauseMost &&
			(out == nil || h.Paused.After(out.Paused)) {
			out = h
		}
	}
	return out, nil
}

// feasibility is whether what a request wants can be made of a source now, as far as is known.
type feasibility int

const (
	feasible   feasibility = iota
	beingTried             // another request is trying it
	infeasible             // it could not be made, and is not tried again yet
)

// feasibilities says of a request's sources, by the keys of their records, whether they can give
// it what it wants now. Where that is infeasible, the request keeps nobody back. nil: all are
// feasible.
func (k *prospects) feasibilities(w *inventory.Waiter) map[int64]feasibility {
	s := k.view.ByName[w.Source]
	asked := DemandOfWaiter(w)
	// room for a large part would never be free for long
	if asked == (demand.Demand{}) || s == nil || s.Share {
		return nil
	}
	out := map[int64]feasibility{}
	for _, c := range s.All() { // children first
		key := k.view.KeyOf(c)
		if c.Type != PoolType {
			out[key] = k.feasibility(c, asked.Beyond(c.usual()))
			continue
		}
		least := infeasible
		for _, child := range c.below {
			least = min(least, out[k.view.KeyOf(child)])
		}
		out[key] = least
	}
	return out
}

// feasibility returns the outlook of a want at a source that makes instances itself.
func (k *prospects) feasibility(s *Source, asks demand.Demand) feasibility {
	if asks == (demand.Demand{}) {
		return feasible
	}
	r, err := k.record(s)
	if err != nil {
		return feasible
	}
	h, err := k.backoff(r.Key, asks)
	if err == nil && h != nil && h.Paused.After(k.view.Now) {
		return infeasible
	}
	is := err == nil && k.isTrying(s, r, asks)
	if err == nil && h != nil && h.Full > 0 && !is {
		is, err = k.isTried(s, r, h.Paused, asks)
	}
	if err == nil && is {
		return beingTried
	}
	return feasible
}

// isTrying reports whether something is being made for another request that shows if asks can be
// had, and nothing there shows it already.
func (k *prospects) isTrying(s *Source, r *store.SourceRecord, asks demand.Demand) bool {
	key := trial{s, -1, asks}
	if is, known := k.tried[key]; known {
		return is
	}
	is := false
	if r.Counts.Creating+r.Counts.SettingUp > 0 {
		all, err := k.plan.Instances(inventory.InstanceQuery{SourceKey: r.Key,
			States: []compute.State{compute.Creating, compute.SettingUp}})
		if err != nil {
			return false // the next look at the store tells
		}
		is = slices.ContainsFunc(all, func(i *compute.Instance) bool {
			w := demand.Read(i.Booked.Asks)
			return w != (demand.Demand{}) && w.Within(asks) && k.view.Now.Sub(i.Created) < tryPatience
		})
		is = is && !k.isProved(r, asks)
	}
	if k.tried == nil {
		k.tried = map[trial]bool{}
	}
	k.tried[key] = is
	return is
}

// hindrance returns why a source that could have more instances makes none, or why asks may not be
// had now; "": nothing is known. unreachable: the place of one of its sources does not answer.
func (k *prospects) hindrance(s *Source, asks demand.Demand) (why string, unreachable bool, err error) {
	var out []string
	for _, c := range s.All() {
		r, err := k.record(c)
		if err != nil {
			return "", false, err
		}
		h, err := k.backoff(r.Key, asks.Beyond(c.usual()))
		if err != nil {
			return "", false, err
		}
		unreachable = unreachable || Unreachable(r)
		// what is known of the want itself holds whatever else there is
		for _, by := range []*store.SourceRecord{asRecord(cmp.Or(h, &Backoff{})), r} {
			if Unreachable(r) { // then nothing else matters
				by = r
			}
			if Unreachable(by) || (by.Full > 0 || by.Paused.After(k.view.Now)) && by.LastError != "" && (by != r || k.below(c, r) > 0) {
				why := by.Why()
				if c != s {
					why = c.Name + ": " + why
				}
				out = append(out, why)
				break
			}
		}
	}
	return strings.Join(out, "; "), unreachable, nil
}

// isProved reports whether a source has an instance that may be what is asked for: then another one
// may be had.
func (k *prospects) isProved(r *store.SourceRecord, asks demand.Demand) bool {
	if r.Counts.Ready+r.Counts.Leased > Many {
		return true // to read them all costs more than to try
	}
	all, err := k.plan.Instances(inventory.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Ready, compute.Leased}})
	chosen := asks.Choice()
	return err != nil || slices.ContainsFunc(all, func(i *compute.Instance) bool {
		return Lacks(asks.Amount(), i.Facts) == "" && (chosen == "" || chosen == i.Facts[provider.FactChosen])
	})
}
