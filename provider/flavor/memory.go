package flavor

import "time"

// How long a Memory remembers, unless told otherwise: long enough for others to give hardware back,
// short enough to try again in time.
const (
	forgetFailed = 15 * time.Minute
	forgetPick   = 5 * time.Minute
)

// Memory remembers which flavors failed for lack of hardware, and which flavor was picked for a
// kind of request. The zero value is ready. The time is handed in. It is used by one goroutine at a
// time.
type Memory struct {
	Failed time.Duration // how long a failure is remembered; 0: ForgetFailed
	Picked time.Duration // how long a pick is; 0: ForgetPick

	failed map[string]time.Time // until when, by the flavor's id
	picks  map[string]pick
}

type pick struct {
	flavor Flavor
	until  time.Time
}

// Fail notes that a flavor had no hardware. What was picked of it is picked anew.
func (m *Memory) Fail(id string, now time.Time) {
	m.forget(now)
	if m.failed == nil {
		m.failed = map[string]time.Time{}
	}
	m.failed[id] = now.Add(orElse(m.Failed, forgetFailed))
	m.Drop(id)
}

// Drop has what was picked of a flavor be picked anew.
func (m *Memory) Drop(id string) {
	for key, p := range m.picks {
		if p.flavor.ID == id {
			delete(m.picks, key)
		}
	}
}

// Succeed notes that a server of a flavor was made: it is tried again.
func (m *Memory) Succeed(id string) { delete(m.failed, id) }

// HasFailed tells whether a flavor failed so lately that it is passed over.
func (m *Memory) HasFailed(id string, now time.Time) bool { return now.Before(m.failed[id]) }

// Pick returns the flavor for a kind of request. The one picked lately stays. Else choose is asked
// for flavors in the order in which they are to be tried, as Table.Choose returns them; the first
// that has not failed lately is it, and if all have, the first. ok is false where there is none.
func (m *Memory) Pick(kind string, now time.Time, choose func() ([]Flavor, error)) (f Flavor, ok bool, err error) {
	m.forget(now)
	if p, held := m.picks[kind]; held {
		return p.flavor, true, nil
	}
	all, err := choose()
	if err != nil {
		return Flavor{}, false, err
	}
	for _, one := range all {
		if one == (Flavor{}) {
			continue
		}
		if !ok {
			f, ok = one, true // what is left if all have failed
		}
		if !m.HasFailed(one.ID, now) {
			f = one
			break
		}
	}
	if !ok {
		return Flavor{}, false, nil
	}
	if m.picks == nil {
		m.picks = map[string]pick{}
	}
	m.picks[kind] = pick{f, now.Add(orElse(m.Picked, forgetPick))}
	return f, true, nil
}

// forget drops what is too old, so that nothing grows.
func (m *Memory) forget(now time.Time) {
	for id, until := range m.failed {
		if !now.Before(until) {
			delete(m.failed, id)
		}
	}
	for kind, p := range m.picks {
		if !now.Before(p.until) {
			delete(m.picks, kind)
		}
	}
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
