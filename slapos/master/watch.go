package master

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
)

// lookEvery is how often the store is checked for changes by others, while a caller waits for one.
const lookEvery = time.Second

// Await returns when a computer's wishes have changed after a revision, with the revision to wait
// after next. If ctx ends first it returns that error. After a start it may return without a
// change. A revision that this master's store does not have yet is answered at once.
func (m *computers) Await(ctx context.Context, who access.Who, guid string, after int64) (revision int64, err error) {
	for first := true; ; first = false {
		if err := m.ledger.Refresh(ctx); err != nil {
			return 0, err
		}
		revision, next, err := m.changed(who, guid, after)
		// nothing is kept of an unknown computer
		if err == nil && first && who.Speaks(guid) == nil {
			m.notes.noteContact(ctx, guid)
		}
		if err != nil || revision != 0 {
			return revision, err
		}
		if err := m.look(ctx, next); err != nil {
			return 0, err
		}
	}
}

// changed is the present revision if a computer has changed after one. Else it is 0, with a channel
// that is closed at the next change.
func (m *computers) changed(who access.Who, guid string, after int64) (int64, <-chan struct{}, error) {
	return m.ledger.ChangedAfter(guid, after, func(mem *ledger.Memory) (*ledger.Computer, error) {
		of := mem.Computers[guid]
		if of == nil {
			if guid != m.opt.Computer || guid == "" {
				return nil, cmp.Or(who.Speaks(guid), access.UnknownComputer(guid))
			}
			of = mem.UnknownComputer()
		}
		return of, who.Owns(guid, of.Record)
	})
}

// look waits until there may be a change. One of the waiting callers looks at the store from time
// to time, for all.
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

// Changed returns when the master differs from a mark, with the new mark: by its records, or by
// reports to this process. Without a mark it returns at once. If ctx ends first it returns that
// error.
func (m *Master) Changed(ctx context.Context, mark string) (string, error) {
	pause := time.NewTicker(lookEvery)
	defer pause.Stop()
	for {
		if err := m.Ledger.Refresh(ctx); err != nil {
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
