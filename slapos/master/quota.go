package master

import (
	"errors"
	"fmt"
	"maps"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/slap"
)

// A Limit is how much a project, or one of its users, may have at once. 0: any number.
type Limit struct {
	Whose              string // in words
	User               bool   // it is the user's, and else of all in the project
	Partitions, Shared int    // partitions with an instance; shared instances
}

// used is how much somebody has of what a Limit counts, and how much waits for a place.
type used struct{ partitions, shared, waiting int }

// uses is what an instance counts.
func uses(n *slap.InstanceRecord) (u used) {
	switch {
	case n == nil:
	case n.Shared && n.Beyond:
	case n.Shared:
		u.shared = 1
	case n.Partition != "":
		u.partitions = 1
	}
	if n != nil && !placed(n) {
		u.waiting = 1
	}
	return u
}

// count adds what an instance counts, sign times, to what its project's user has.
func (m *memory) count(n *slap.InstanceRecord, sign int) { tally(m.used, n, sign) }

func tally(all map[string]map[string]used, n *slap.InstanceRecord, sign int) {
	u := uses(n)
	if u == (used{}) {
		return
	}
	of := all[n.Project]
	if of == nil {
		of = map[string]used{}
		all[n.Project] = of
	}
	now := of[n.Owner]
	now.partitions += sign * u.partitions
	now.shared += sign * u.shared
	now.waiting += sign * u.waiting
	if of[n.Owner] = now; now == (used{}) {
		if delete(of, n.Owner); len(of) == 0 {
			delete(all, n.Project)
		}
	}
}

// errBehind says that the memory does not remember as far back as the store does.
var errBehind = &compute.Error{
	Op: "slap", Kind: compute.ErrUnavailable, Err: errors.New("too much has changed meanwhile"), Hint: "ask again",
}

// usage is how much the users of a project have, in a transaction: what the memory knows, and what
// has changed since. Others that write wait for this one.
func (m *ledger) usage(p *pages, project string) (map[string]used, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	for range 4 { // the memory comes as far as the store, which stands still
		m.known.mu.RLock()
		revision := m.known.memory.revision
		m.known.mu.RUnlock()
		var changes []slap.Entry
		err := p.tx.SlapChanges(revision, func(e slap.Entry) error { changes = append(changes, e); return nil })
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

// since is what the memory has of a project, with what has changed after a revision; ok: the memory
// is of that revision.
func (m *ledger) since(revision int64, project string, changes []slap.Entry) (_ map[string]used, ok bool, err error) {
	m.known.mu.RLock()
	defer m.known.mu.RUnlock()
	mem := m.known.memory
	if mem.revision != revision || revision < 0 {
		return nil, false, nil
	}
	all := map[string]map[string]used{project: maps.Clone(mem.used[project])}
	if all[project] == nil {
		all[project] = map[string]used{}
	}
	for _, e := range changes {
		if e.Kind != slap.KindInstance {
			continue
		}
		if was := mem.byID[e.Key]; was != nil && was.Project == project {
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

// within tells why there may be no more of a kind of instance in its project, or of its user; "":
// there may.
func (m *allocation) within(b book, n *slap.InstanceRecord) (why string, err error) {
	p, writing := b.(*pages)
	if m.opt.Limits == nil || !writing { // it will be asked again
		return "", nil
	}
	limits := m.opt.Limits(n.Project, n.Owner)
	if len(limits) == 0 {
		return "", nil
	}
	all, err := m.ledger.usage(p, n.Project)
	if err != nil {
		return "", err
	}
	var whole used
	for _, u := range all {
		whole.partitions, whole.shared = whole.partitions+u.partitions, whole.shared+u.shared
	}
	for _, l := range limits {
		has := whole
		if l.User {
			has = all[n.Owner]
		}
		switch {
		case !n.Shared && l.Partitions > 0 && has.partitions >= l.Partitions:
			return fmt.Sprintf("%s has %d of %d partitions", l.Whose, has.partitions, l.Partitions), nil
		case n.Shared && l.Shared > 0 && has.shared >= l.Shared:
			return fmt.Sprintf("%s has %d of %d shared instances", l.Whose, has.shared, l.Shared), nil
		}
	}
	return "", nil
}
