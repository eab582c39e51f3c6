package pool

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/demand"
	"github.com/hostler-project/hostler/store"
)

// A source may fail to make what one request wants and make what others want: a GPU that no node
// has, an image that does not exist. So a failure is recorded for the want that failed. A want
// without demands of its own is the source's: its failures are in the source's record, and count
// for all. The store keeps a note for each source with the others. Each of them counts for wants
// that ask for as much or more.

// want is what a request asks of a computer.
type want = demand.Demand

func wantOf(least size, c choice, most float64) want {
	return want{
		Cores: least.Cores, Memory: least.Memory, Disk: least.Disk, GPUs: least.GPUs, Price: most, Image: c.image,
		Flavor: c.flavor, Location: c.location, Data: demand.Digest(c.userData),
	}
}

// usual returns what all computers of a source have.
func (s *source) usual() want {
	return want{
		Image: s.Image, Flavor: s.Flavor, Cores: s.Size.Cores, Memory: s.Size.Memory, Disk: s.Size.Disk, GPUs: s.Size.GPUs,
	}
}

// wantOfWaiter returns what a request in the queue asks for.
func wantOfWaiter(w *compute.Waiter) want {
	if w.Asks != "" {
		return demand.Read(w.Asks)
	}
	return want{Cores: w.Cores, Memory: w.Memory, Disk: w.Disk}
}

// asksOf returns what is recorded of a waiting request beside its sizes.
func asksOf(req compute.Request) string {
	w := wantOf(sizeOf(req), choiceOf(req), req.MaxPrice)
	if w.GPUs == 0 && w.Price == 0 && !w.Chosen() {
		return ""
	}
	return w.Text()
}

// hitch is why a want cannot be made of a source now. It is stored, in a note of the source.
type hitch struct {
	Want want `json:"want"`
	compute.Backoff
}

const (
	hitchesMost = 16 // how many of a source are remembered
	// After so many different wants have failed, for other reasons than lack of room, the source
	// itself fails.
	hitchesBroken = 3
)

func hitchesNote(key int64) string { return fmt.Sprintf("hitches/%d", key) }

// readHitches returns the hitches of a source's record.
func readHitches(tx store.Tx, key int64) (all []hitch, err error) {
	text, err := tx.Note(hitchesNote(key))
	if errors.Is(err, compute.ErrNotFound) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &all)
	}
	return all, err
}

// saveHitches stores hitches. It leaves out those that are long over and, if there are too many,
// those that end soonest.
func saveHitches(tx store.Tx, key int64, all []hitch, now time.Time) error {
	all = slices.DeleteFunc(all, func(h hitch) bool { return !h.Paused.IsZero() && now.Sub(h.Paused).Abs() > 2*pauseMost })
	if len(all) > hitchesMost {
		slices.SortStableFunc(all, func(a, b hitch) int { return -a.Paused.Compare(b.Paused) })
		all = all[:hitchesMost]
	}
	if len(all) == 0 {
		return tx.SaveNote(hitchesNote(key), "")
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return tx.SaveNote(hitchesNote(key), string(text))
}

// hitched counts a failure to make what a request wants beyond what the source gives anyway.
func (p *Pool) hitched(tx store.Tx, rec *store.SourceRecord, w want, cause error) error {
	all, err := readHitches(tx, rec.Key)
	if err != nil {
		return err
	}
	now := time.Now()
	n := slices.IndexFunc(all, func(h hitch) bool { return h.Want == w })
	if n < 0 {
		n, all = len(all), append(all, hitch{Want: w})
	}
	h := &all[n]
	switch {
	case errors.Is(cause, compute.ErrNoCapacity):
		if !noRoom(&h.Backoff, now, cause) {
			return nil
		}
	default:
		pause := failedOnce(&h.Backoff, now, cause)
		if pause == 0 {
			break
		}
		failing := func(h hitch) bool { return h.Failures >= breakAt }
		text, several := "for "+w.String()+": "+h.LastError, 0
		for _, o := range all {
			if failing(o) {
				several++
			}
		}
		if several >= hitchesBroken {
			rec.Backoff, rec.Unreachable, text = h.Backoff, time.Time{}, h.LastError
			if err := tx.SaveSource(rec); err != nil {
				return err
			}
			all = slices.DeleteFunc(all, failing)
		}
		if err := appendPaused(tx, rec.Name, text, now.Add(pause)); err != nil {
			return err
		}
	}
	return saveHitches(tx, rec.Key, all, now)
}

// unhitched removes hitches that a success of w disproves.
func (p *Pool) unhitched(tx store.Tx, key int64, w want) error {
	all, err := readHitches(tx, key)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(all), func(h hitch) bool { return h.Want.Within(w) })
	if len(left) == len(all) {
		return nil
	}
	return saveHitches(tx, key, left, time.Now())
}

// roomier ends the pauses of wants that a source's place had no room for.
func (p *Pool) roomier(tx store.Tx, key int64) error {
	all, err := readHitches(tx, key)
	if err != nil || len(all) == 0 {
		return err
	}
	now, some := time.Now(), false
	for n := range all {
		if h := &all[n]; h.Full > 0 && h.Paused.After(now) {
			h.Paused, some = now, true
		}
	}
	if !some {
		return nil
	}
	return saveHitches(tx, key, all, now)
}

// hitch returns what keeps a want from being made of a source, or may: of several, the one that
// lasts longest; nil: nothing is known.
func (d *draw) hitch(key int64, w want) (*hitch, error) {
	if w == (want{}) {
		return nil, nil
	}
	all, known := d.hitches[key]
	if !known {
		var err error
		if all, err = readHitches(d.tx, key); err != nil {
			return nil, err
		}
		if d.hitches == nil {
			d.hitches = map[int64][]hitch{}
		}
		d.hitches[key] = all
	}
	var out *hitch
	for n := range all {
		h := &all[n]
		// a clock may have been set back
		if h.Want.Within(w) && (h.Full > 0 || h.Paused.After(d.now)) && h.Paused.Sub(d.now) <= pauseMost &&
			(out == nil || h.Paused.After(out.Paused)) {
			out = h
		}
	}
	return out, nil
}

// outlook is whether what a request wants can be made of a source now, as far as is known.
type outlook int

const (
	hopeful  outlook = iota
	inTrial          // another request is trying it
	hopeless         // it could not be made, and is not tried again yet
)

// stuck returns the sources, by the keys of their records, that cannot give a request what it wants
// now while they serve others. The request does not keep the others back there.
func (d *draw) stuck(w *compute.Waiter) map[int64]outlook {
	s := d.p.sources[w.Source]
	asked := wantOfWaiter(w)
	// room for a large part would never be free for long
	if asked == (want{}) || s == nil || s.Share {
		return nil
	}
	out := map[int64]outlook{}
	for _, c := range s.all() { // children first
		key := d.p.keyOf(c)
		if c.Type != poolType {
			out[key] = d.outlook(c, asked.Beyond(c.usual()))
			continue
		}
		least := hopeless
		for _, child := range c.children {
			least = min(least, out[d.p.keyOf(child)])
		}
		out[key] = least
	}
	return out
}

// outlook returns the outlook of a want at a source that makes instances itself.
func (d *draw) outlook(s *source, asks want) outlook {
	if asks == (want{}) {
		return hopeful
	}
	r, err := d.record(s)
	if err != nil {
		return hopeful
	}
	h, err := d.hitch(r.Key, asks)
	if err == nil && h != nil && h.Paused.After(d.now) {
		return hopeless
	}
	is := err == nil && d.isTrying(s, r, asks)
	if err == nil && h != nil && h.Full > 0 && !is {
		is, err = d.isTried(s, r, h.Paused, asks)
	}
	if err == nil && is {
		return inTrial
	}
	return hopeful
}

// isTrying reports whether something is being made for another request that shows if asks can be
// had, and nothing there shows it already.
func (d *draw) isTrying(s *source, r *store.SourceRecord, asks want) bool {
	key := trial{s, -1, asks}
	if is, known := d.tried[key]; known {
		return is
	}
	is := false
	if r.Counts.Creating+r.Counts.SettingUp > 0 {
		all, err := d.tx.Instances(compute.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Creating, compute.SettingUp}})
		if err != nil {
			return false // the next look at the store tells
		}
		is = slices.ContainsFunc(all, func(i *compute.Instance) bool {
			w := demand.Read(i.Booked.Asks)
			return w != (want{}) && w.Within(asks) && d.now.Sub(i.Created) < tryPatience
		})
		is = is && !d.isProved(r, asks)
	}
	if d.tried == nil {
		d.tried = map[trial]bool{}
	}
	d.tried[key] = is
	return is
}

// hindered returns why a source that could have more instances makes none, or why asks may not be
// had now; "": nothing is known. unreachable: the place of one of its sources does not answer.
func (d *draw) hindered(s *source) (why string, unreachable bool, err error) {
	var out []string
	for _, c := range s.all() {
		r, err := d.record(c)
		if err != nil {
			return "", false, err
		}
		h, err := d.hitch(r.Key, d.asks.Beyond(c.usual()))
		if err != nil {
			return "", false, err
		}
		unreachable = unreachable || doubted(r)
		// what is known of the want itself holds whatever else there is
		for _, by := range []*store.SourceRecord{hindrance(cmp.Or(h, &hitch{})), r} {
			if doubted(r) { // then nothing else matters
				by = r
			}
			if doubted(by) || (by.Full > 0 || by.Paused.After(d.now)) && by.LastError != "" && (by != r || d.below(c, r) > 0) {
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
func (d *draw) isProved(r *store.SourceRecord, asks want) bool {
	if r.Counts.Ready+r.Counts.Leased > many {
		return true // to read them all costs more than to try
	}
	all, err := d.tx.Instances(compute.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Ready, compute.Leased}})
	chosen := asks.Choice()
	return err != nil || slices.ContainsFunc(all, func(i *compute.Instance) bool {
		return size(asks.Amount()).lacks(i.Facts) == "" && (chosen == "" || chosen == i.Facts[compute.FactChosen])
	})
}

// hindrance returns a source record with the failures of a want.
func hindrance(h *hitch) *store.SourceRecord {
	r := &store.SourceRecord{Backoff: h.Backoff}
	r.LastError = cmp.Or(r.LastError, "it could not be made")
	return r
}
