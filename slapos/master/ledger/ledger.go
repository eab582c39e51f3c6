// Package ledger keeps what a SlapOS master knows: entries in a store, and a memory of all of them
// from which reads are answered. A [View] is what an operation reads and writes: the memory, in
// which nothing can be written, or a transaction.
package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

// Ledger has the records: the store, and a memory of its content. It may be used concurrently.
type Ledger struct {
	Store store.Transactor
	Log   *slog.Logger
	cache cache
	RunID string
	noted func(ctx context.Context) // told that a transaction has changed something

	mu   sync.Mutex
	last int64 // the newest stamp that was given
}

// New makes a ledger of a store. It calls noted with the context of each transaction that changed
// something.
func New(store store.Transactor, log *slog.Logger, noted func(ctx context.Context)) *Ledger {
	l := &Ledger{Store: store, Log: log, RunID: newRunID(), noted: noted}
	l.cache.memory, l.cache.next = newMemory(), map[string]chan struct{}{}
	return l
}

func newRunID() string {
	text := rand.Text() + rand.Text()
	return strings.ToLower(text[:32])
}

// Do runs an operation: on the memory first, and in a transaction if it writes. So fn may run
// several times, and must set its results anew each time.
func (m *Ledger) Do(ctx context.Context, fn func(b View) error) error {
	_, err := m.ReadOrUpdate(ctx, fn)
	return err
}

// ReadOrUpdate is Do, and says whether it took a transaction: the memory lacks its changes then.
func (m *Ledger) ReadOrUpdate(ctx context.Context, fn func(b View) error) (wrote bool, err error) {
	if err := m.Refresh(ctx); err != nil {
		return false, err
	}
	if err := m.Read(fn); !errors.Is(err, ErrWrites) {
		return false, err
	}
	var p *TxView
	if err := m.Store.Update(ctx, func(tx store.Tx) error { p = m.TxView(tx); return fn(p) }); err != nil {
		return true, err
	}
	if p.wrote {
		m.noted(ctx)
	}
	return true, nil
}

// TxView is a transaction as a view.
func (m *Ledger) TxView(tx store.Tx) *TxView { return &TxView{Tx: tx, known: &m.cache} }

// Stamp is the time of a change: in microseconds, above those of all changes before that this
// master made or that the record has.
func (m *Ledger) Stamp(before int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = max(time.Now().UnixMicro(), m.last+1, before+1)
	return m.last
}

// RLock returns the memory, to be read until done is called.
func (m *Ledger) RLock() (mem *Memory, done func()) {
	m.cache.mu.RLock()
	return m.cache.memory, m.cache.mu.RUnlock
}

// Revision is that of the memory.
func (m *Ledger) Revision() int64 {
	mem, done := m.RLock()
	defer done()
	return mem.revision
}

// CacheDocument keeps the document of a computer, as long as there is room.
func (m *Ledger) CacheDocument(d *Document, body []byte) { m.cache.documents.Put(d, body) }

// ChangedAfter is the present revision if a computer has changed after one. Else it is 0, with a
// channel that is closed at the next change. which finds the computer.
func (m *Ledger) ChangedAfter(guid string, after int64, which func(mem *Memory) (*Computer, error)) (int64, <-chan struct{}, error) {
	m.cache.mu.Lock()
	defer m.cache.mu.Unlock()
	mem := m.cache.memory
	of, err := which(mem)
	if err != nil {
		return 0, nil, err
	}
	if of.changed > after || after > mem.revision {
		return max(mem.revision, 1), nil, nil
	}
	next := m.cache.next[guid]
	if next == nil {
		next = make(chan struct{})
		m.cache.next[guid] = next
	}
	return 0, next, nil
}

// Refresh brings into the memory all that was committed before it is called. Callers that meet
// share a look at the store.
func (m *Ledger) Refresh(ctx context.Context) error {
	before := m.cache.refreshes.Load()
	m.cache.look.Lock()
	defer m.cache.look.Unlock()
	if m.cache.done > before {
		return nil
	}
	this := m.cache.refreshes.Add(1)
	err := m.catchUp(ctx)
	if err == nil {
		m.cache.done = this
	}
	return err
}

// catchUp brings the memory to the store's revision: by the changes since, or by reading all if
// these are not remembered any more.
func (m *Ledger) catchUp(ctx context.Context) error {
	was := m.cache.memory.revision // only written under look
	var now int64
	var changes []store.SlapEntry
	var anew *Memory // where all is read
	err := m.Store.View(ctx, func(tx store.Tx) (err error) {
		changes, anew = nil, nil
		if now, err = tx.SlapRevision(); err != nil || now == was {
			return err
		}
		if was > 0 && now >= was { // else the store is another
			err = tx.SlapChanges(was, func(e store.SlapEntry) error { changes = append(changes, e); return nil })
			if !errors.Is(err, compute.ErrStale) {
				return err
			}
		}
		anew = newMemory()
		anew.applying = now
		// one by one: all together, before decoding, they would take twice the memory
		return tx.SlapChanges(0, anew.take)
	})
	if err != nil || now == was {
		return err
	}
	m.cache.mu.Lock()
	defer m.cache.mu.Unlock()
	defer func() { m.cache.wakeWaiters(anew != nil) }()
	if anew != nil {
		m.cache.memory = anew
	}
	m.cache.memory.revision = -1 // until all of it is there
	m.cache.memory.applying = now
	for _, e := range changes {
		if err := m.cache.memory.take(e); err != nil {
			m.cache.memory = newMemory()
			return err
		}
	}
	m.cache.memory.revision = now
	return nil
}

// Read runs an operation on the memory.
func (m *Ledger) Read(fn func(b View) error) error {
	m.cache.mu.RLock()
	defer m.cache.mu.RUnlock()
	return fn(m.cache.memory)
}
