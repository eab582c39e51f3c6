package master

import (
	"context"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/slapos/master/ledger"
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
		if err := m.ledger.Fresh(ctx); err != nil {
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
	return m.ledger.ChangedAfter(guid, after, func(mem *ledger.Memory) (*ledger.Computer, error) {
		of := mem.Computers[guid]
		if of == nil {
			if guid != m.opt.Computer || guid == "" {
				return nil, firstOf(who.Speaks(guid), UnknownComputer(guid))
			}
			of = mem.Nobody()
		}
		return of, who.Owns(guid, of.Record)
	})
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

// Changed returns when anything of the master is otherwise than at a mark, with the mark of that:
// its records, or what nodes told this process. Without a mark it returns at once. When ctx ends
// before that, its error.
func (m *Master) Changed(ctx context.Context, mark string) (string, error) {
	pause := time.NewTicker(lookEvery)
	defer pause.Stop()
	for {
		if err := m.Ledger.Fresh(ctx); err != nil {
			return "", err
		}
		now := fmt.Sprintf("%s-%d-%d", m.Ledger.RunID[:8], m.Ledger.Revision(), m.notes.heard.Load())
		if now != mark {
			return now, nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-pause.C:
		}
	}
}
