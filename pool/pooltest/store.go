package pooltest

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// simStore is a process's handle on the store: the real one, with a yield before and after each
// transaction. What was committed goes to the ledger too, from which the invariants are judged.
type simStore struct {
	*sqlite.Store
	w    *world
	proc *process
	bend bend // what is broken on purpose

	own atomic.Int64 // commits of this handle

	mu      sync.Mutex // waiters ask without waiting for their turn
	commits int64      // of other handles, when this one last looked
	version int64      // the store's at that time
}

var errFull = errors.New("the disk is full")

// errAgain makes the store take back a transaction that is then run once more, as it does when a
// batch fails.
var errAgain = errors.New("run again")

func (s *simStore) Update(ctx context.Context, fn func(store.Tx) error) error {
	s.w.sched.yield(s.proc, "update")
	if s.w.chance(s.w.Weather.Slow) {
		s.w.sleep(s.proc, s.w.upTo(50e6))
	}
	if !s.w.calm && s.w.chance(s.w.Weather.Sick) {
		s.w.sched.note(s.proc.name, "the disk is full")
		return &compute.Error{Op: "state", Kind: compute.ErrFailed, Err: errFull}
	}
	if s.w.chance(s.w.Weather.Twice) {
		err := s.Store.Update(ctx, func(tx store.Tx) error {
			if err := fn(tx); err != nil {
				return err
			}
			return errAgain
		})
		if !errors.Is(err, errAgain) {
			s.w.sched.yield(s.proc, "refused")
			return err
		}
	}
	if s.bend.loses != nil && s.bend.loses(s.w) {
		err := s.Store.Update(ctx, func(tx store.Tx) error {
			if err := fn(tx); err != nil {
				return err
			}
			return errAgain
		})
		if errors.Is(err, errAgain) {
			return nil
		}
		return err
	}
	var r *record
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		r, s.proc.took = &record{Tx: tx, bend: s.bend}, nil
		return fn(r)
	})
	if err != nil {
		s.w.sched.yield(s.proc, "refused")
		return err
	}
	if s.w.news(r.did) {
		s.w.commits.Add(1)
		s.own.Add(1)
	}
	for _, of := range s.proc.took {
		s.w.passed[of]++
	}
	s.w.commit(s.proc, r.did)
	s.w.sched.yield(s.proc, "recorded")
	return nil
}

// Slot is the store's.
func (s *simStore) Slot(row int64, n int) (func(), bool, error) {
	s.w.sched.yield(s.proc, "slot")
	return s.Store.Slot(row, n)
}

// Alive is the store's, which asks the kernel.
func (s *simStore) Alive(worker int64) bool {
	switch {
	case s.bend.immortal:
		return true
	case s.bend.mortal:
		return worker == s.Worker()
	}
	return s.Store.Alive(worker)
}

func (s *simStore) View(ctx context.Context, fn func(store.Tx) error) error {
	s.w.sched.yield(s.proc, "view")
	return s.Store.View(ctx, fn)
}

// Version asks the store only when it should have changed: waiters ask a hundred times in each
// second of the bubble.
func (s *simStore) Version(ctx context.Context) (int64, error) {
	if s.proc.dead.Load() {
		runtime.Goexit()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if others := s.w.commits.Load() - s.own.Load(); others != s.commits || s.version == 0 {
		v, err := s.Store.Version(ctx)
		if err == nil && v == s.version {
			s.w.sched.fail("the store's version is %d still, after another handle has written", v)
		}
		s.commits, s.version = others, v
	}
	return s.version, nil
}

// record notes what a transaction writes.
type record struct {
	store.Tx
	bend bend
	did  []any
}

type (
	saved    struct{ i compute.Instance }
	dropped  struct{ i compute.Instance }
	lent     struct{ l compute.Lease }
	changed  struct{ l compute.Lease }
	sourced  struct{ s store.SourceRecord }
	joined   struct{ w inventory.Waiter }
	passed   struct{ w inventory.Waiter }
	left     struct{ id int64 }
	appended struct{ e compute.Event }
)

func (r *record) SaveInstance(i *compute.Instance) error {
	was := *i
	if r.bend.noWorker {
		was.Worker = 0
	}
	if r.bend.oldGeneration && i.Generation > 1 {
		was.Generation = 1
	}
	err := r.Tx.SaveInstance(&was)
	if err == nil {
		i.Row = was.Row
		r.did = append(r.did, saved{*i})
	}
	return err
}

func (r *record) DropInstance(i *compute.Instance) error {
	err := r.Tx.DropInstance(i)
	if err == nil {
		r.did = append(r.did, dropped{*i})
	}
	return err
}

func (r *record) InsertLease(l *compute.Lease) error {
	was := *l
	if r.bend.noWorker {
		was.Worker = 0
	}
	err := r.Tx.InsertLease(&was)
	if err == nil {
		r.did = append(r.did, lent{*l})
	}
	return err
}

func (r *record) Leases(q inventory.LeaseQuery) ([]*compute.Lease, error) {
	if r.bend.noDue && !q.Due.IsZero() {
		return nil, nil
	}
	return r.Tx.Leases(q)
}

func (r *record) SaveLease(l *compute.Lease) error {
	was := *l
	if r.bend.undead && l.Why == "released" {
		was.Ended = time.Time{}
	}
	err := r.Tx.SaveLease(&was)
	if err == nil {
		r.did = append(r.did, changed{*l})
	}
	return err
}

func (r *record) SaveSource(s *store.SourceRecord) error {
	was := *s
	if r.bend.noPause {
		was.Paused = time.Time{}
	}
	err := r.Tx.SaveSource(&was)
	s.Key = was.Key
	if err == nil {
		r.did = append(r.did, sourced{*s})
	}
	return err
}

func (r *record) Waiters() ([]*inventory.Waiter, error) {
	ws, err := r.Tx.Waiters()
	if r.bend.noQueue && len(ws) > 0 { // it knows of one alone who asks: the last to come
		ws = ws[len(ws)-1:]
	}
	if r.bend.noRank {
		for n := range ws {
			w := *ws[n]
			w.Priority = 0
			ws[n] = &w
		}
	}
	return ws, err
}

func (r *record) Held(project, owner string) (compute.Capacity, error) {
	if r.bend.noHeld {
		return compute.Capacity{}, nil
	}
	return r.Tx.Held(project, owner)
}

func (r *record) SaveWaiter(w *inventory.Waiter) error {
	err := r.Tx.SaveWaiter(w)
	if err == nil {
		r.did = append(r.did, passed{*w})
	}
	return err
}

func (r *record) Join(w *inventory.Waiter) error {
	err := r.Tx.Join(w)
	if err == nil {
		r.did = append(r.did, joined{*w})
	}
	return err
}

func (r *record) Leave(id int64) error {
	err := r.Tx.Leave(id)
	if err == nil {
		r.did = append(r.did, left{id})
	}
	return err
}

func (r *record) Append(e *compute.Event) (int64, error) {
	id, err := r.Tx.Append(e)
	if err == nil {
		r.did = append(r.did, appended{*e})
	}
	return id, err
}
