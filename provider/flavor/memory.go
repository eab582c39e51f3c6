package flavor

import "time"

// How long a Memory remembers by default. It is long enough for others to give hardware back, and
// short enough to try again in time.
const (
	forgetFailed = 15 * time.Minute
	forgetPick   = 5 * time.Minute
)

// Memory remembers which flavors failed for lack of hardware, and which flavor was picked for a
// kind of request. The zero value is ready. The caller passes the time. One goroutine may use it at
// a time.
type Memory struct {
	Failed time.Duration // how long a failure is remembered; 0: ForgetFailed
	Picked time.Duration // how long a pick is remembered; 0: ForgetPick

	failed map[string]time.Time // the end of each failure, by the flavor's id
	picks  map[string]pick
}

type pick struct {
	flavor Flavor
	until  time.Time
}

// Fail notes that there was no hardware for a flavor. Requests for which it was picked choose anew.
func (m *Memory) Fail(id string, now time.Time) {
	m.forget(now)
	if m.failed == nil {
		m.failed = map[string]time.Time{}
	}
	m.failed[id] = now.Add(orElse(m.Failed, forgetFailed))
	m.Drop(id)
}

// Drop makes the requests for which a flavor was picked choose anew.
func (m *Memory) Drop(id string) {
	for key, p := range m.picks {
		if p.flavor.ID == id {
			delete(m.picks, key)
		}
	}
}

// Succeed notes that a server of a flavor was made, so the flavor is tried again.
func (m *Memory) Succeed(id string) { delete(m.failed, id) }

// HasFailed reports whether a flavor failed so lately that it is passed over.
func (m *Memory) HasFailed(id string, now time.Time) bool { return now.Before(m.failed[id]) }

// Pick returns the flavor for a kind of request. A recent pick stays. Else choose returns the
// flavors in the order to try them, as Table.Choose does. The first that has not failed lately is
// picked; if all have failed, the first. ok is false if there is none.
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
			f, ok = one, true // the first, if all have failed
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

// forget drops the entries that are too old, so the maps do not grow.
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
