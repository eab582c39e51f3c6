package master

import (
	"context"
	"time"
)

// lookEvery is how often the store is looked at for changes that others have made, while somebody
// waits for one.
const lookEvery = time.Second

// Await returns when what is wanted on a computer has changed after a revision, with the revision
// to wait for the next change with: when ctx ends before that, its error. It may return though
// nothing has changed, after a start; a revision that this master's store does not have yet is
// answered at once.
func (m *computers) Await(ctx context.Context, who Who, guid string, after int64) (revision int64, err error) {
	for first := true; ; first = false {
		if err := m.ledger.fresh(ctx); err != nil {
			return 0, err
		}
		revision, next, err := m.changed(who, guid, after)
		// of a computer that nobody knows nothing is kept
		if err == nil && first && who.Speaks(guid) == nil {
			m.notes.met(ctx, guid)
		}
		if err != nil || revision != 0 {
			return revision, err
		}
		if err := m.look(ctx, next); err != nil {
			return 0, err
		}
	}
}

// changed is the revision that there is now, where a computer has changed after one, and else 0 and
// what is closed at its next change.
func (m *computers) changed(who Who, guid string, after int64) (int64, <-chan struct{}, error) {
	m.ledger.known.mu.Lock()
	defer m.ledger.known.mu.Unlock()
	mem := m.ledger.known.memory
	of := mem.computers[guid]
	if of == nil {
		if guid != m.opt.Computer || guid == "" {
			return 0, nil, firstOf(who.Speaks(guid), unknownComputer(guid))
		}
		of = mem.nobody()
	}
	if err := who.owns(guid, of.record); err != nil {
		return 0, nil, err
	}
	if of.changed > after || after > mem.revision {
		return max(mem.revision, 1), nil, nil
	}
	next := m.ledger.known.next[guid]
	if next == nil {
		next = make(chan struct{})
		m.ledger.known.next[guid] = next
	}
	return 0, next, nil
}

// look waits until there may be a change. One of those that wait looks at the store from time to
// time, for all.
func (m *computers) look(ctx context.Context, next <-chan struct{}) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-next:
		return nil
	case m.watch <- struct{}{}:
	}
	defer func() { <-m.watch }()
	soon := time.NewTimer(lookEvery)
	defer soon.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-next:
	case <-soon.C:
	}
	return nil
}
