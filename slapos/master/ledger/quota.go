package ledger

import (
	"errors"
	"maps"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
)

// Used is how much a user has of the things that a Limit counts, and how many instances wait for a
// place.
type Used struct{ Partitions, Shared, Waiting int }

// uses is what an instance counts.
func uses(n *record.Instance) (u Used) {
	switch {
	case n == nil:
	case n.Shared && n.Beyond:
	case n.Shared:
		u.Shared = 1
	case n.Partition != "":
		u.Partitions = 1
	}
	if n != nil && !Placed(n) {
		u.Waiting = 1
	}
	return u
}

// Count adds what an instance counts, sign times, to what its project's user has.
func (m *Memory) Count(n *record.Instance, sign int) { tally(m.Used, n, sign) }

// tally adds what n uses, times sign, to its owner in its project. Users and projects that use
// nothing are removed.
func tally(all map[string]map[string]Used, n *record.Instance, sign int) {
	u := uses(n)
	if u == (Used{}) {
		return
	}
	of := all[n.Project]
	if of == nil {
		of = map[string]Used{}
		all[n.Project] = of
	}
	now := of[n.Owner]
	now.Partitions += sign * u.Partitions
	now.Shared += sign * u.Shared
	now.Waiting += sign * u.Waiting
	if of[n.Owner] = now; now == (Used{}) {
		if delete(of, n.Owner); len(of) == 0 {
			delete(all, n.Project)
		}
	}
}

// errBehind says that the memory does not remember as far back as the store does.
var errBehind = &compute.Error{
	Op: "slap", Kind: compute.ErrUnavailable, Err: errors.New("too much has changed meanwhile"), Hint: "ask again",
}

// Usage is how much each user of a project has, in a transaction: by the memory, and the changes
// since. Other writers wait for this one.
func (m *Ledger) Usage(p *TxView, project string) (map[string]Used, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	for range 4 { // the memory comes as far as the store, which stands still
		m.cache.mu.RLock()
		revision := m.cache.memory.revision
		m.cache.mu.RUnlock()
		var changes []store.SlapEntry
		err := p.Tx.SlapChanges(revision, func(e store.SlapEntry) error { changes = append(changes, e); return nil })
		if errors.Is(err, compute.ErrStale) {
			return nil, errBehind
		} else if err != nil {
			return nil, err
		}
		if all, ok, err := m.since(revision, project, changes); ok || err != nil {
			return all, err
		}
	}
	return nil, errBehind
}

// since is the memory's use of a project, with the changes after a revision. ok: the memory is of
// that revision.
func (m *Ledger) since(revision int64, project string, changes []store.SlapEntry) (_ map[string]Used, ok bool, err error) {
	m.cache.mu.RLock()
	defer m.cache.mu.RUnlock()
	mem := m.cache.memory
	if mem.revision != revision || revision < 0 {
		return nil, false, nil
	}
	all := map[string]map[string]Used{project: maps.Clone(mem.Used[project])}
	if all[project] == nil {
		all[project] = map[string]Used{}
	}
	for _, e := range changes {
		if e.Kind != record.KindInstance {
			continue
		}
		if was := mem.ByID[e.Key]; was != nil && was.Project == project {
			tally(all, was, -1)
		}
		if e.Data == nil {
			continue
		}
		n, err := instanceOf(e)
		if err != nil {
			return nil, false, err
		}
		if n.Project == project {
			tally(all, n, 1)
		}
	}
	return all[project], true, nil
}
