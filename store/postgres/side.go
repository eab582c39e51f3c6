package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// side is the connection for all but transactions: slots, versions, which workers live.
type side struct {
	turns chan struct{} // of one: held by the user of session and held
	s     *session
	held  map[int64]bool // places that this handle holds: a session is not kept out of its own

	mu   sync.Mutex
	free map[int64]sight // workers whose lock was free at each look
	next *asking         // of Version, not begun yet
	last time.Time       // when Version was last asked
}

// sight is when a free lock was seen first, and last.
type sight struct{ first, last time.Time }

// longSeen is the time without a look after which a free lock counts as new: it may have been held
// and freed meanwhile. A caller that waits for a worker's end looks more often.
const longSeen = 20 * time.Minute

// freeFor notes that a worker's lock is free now, and returns for how long it has been seen to be.
func (d *side) freeFor(worker int64, now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.free[worker]
	if !ok || now.Sub(s.last) > longSeen {
		if d.free == nil || len(d.free) > 10_000 {
			d.free = map[int64]sight{}
		}
		s.first = now
	}
	s.last = now
	d.free[worker] = s
	return now.Sub(s.first)
}

// forget that a worker's lock was free.
func (d *side) forget(worker int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.free, worker)
}

// use calls f with the connection, and with a new one if it was lost.
func (d *side) use(s *Store, f func(*session) error) error {
	d.turns <- struct{}{}
	defer func() { <-d.turns }()
	for tries := 0; ; tries++ {
		if s.closed() {
			return errClosed
		}
		err := d.connect(s)
		if err == nil {
			err = f(d.s)
		}
		if !errors.Is(err, errLost) {
			return err
		}
		if d.s != nil {
			d.s.conn.Close(ended())
			d.s = nil
		}
		if tries == again {
			return err
		}
	}
}

func (d *side) run(s *Store, qs ...query) error {
	return d.use(s, func(n *session) error { return n.run(qs...) })
}

// connect makes sure of a connection that holds the places. Its caller has the turn.
func (d *side) connect(s *Store) error {
	if d.s != nil {
		return nil
	}
	n, err := s.dial(context.Background())
	if err != nil {
		return errors.Join(errLost, err)
	}
	for key := range d.held {
		var ok bool
		if err := n.run(query{"SELECT pg_try_advisory_lock($1)", []any{key}, one(&ok)}); err != nil {
			n.close()
			return err
		}
		if !ok { // the holder cannot be asked to go, nor can ours
			s.log.Warn("a place was lost with the connection to the database, and is another's now", "database", s.Name())
			delete(d.held, key)
		}
	}
	d.s = n
	return nil
}

func (d *side) end() {
	d.turns <- struct{}{}
	defer func() { <-d.turns }()
	if d.s != nil {
		_ = d.s.run(query{text: "SELECT pg_advisory_unlock_all()", rows: drain})
		d.s.close()
		d.s = nil
	}
}

// keepPlaces sees that places are not lost unnoticed.
func (s *Store) keepPlaces() {
	d := &s.side
	select {
	case d.turns <- struct{}{}:
	default:
		return // in use
	}
	defer func() { <-d.turns }()
	if len(d.held) == 0 || s.closed() {
		return
	}
	if d.s != nil && !d.s.alive() {
		d.s.conn.Close(ended())
		d.s = nil
	}
	_ = d.connect(s)
}

// places is how many an instance has at most.
const places = 1024

// Slot takes one of n places of a row of instances, until free is called or this process ends. ok
// is false when all are taken. A place whose connection is lost is taken again; if another process
// took it first, there is one too many for a time.
func (s *Store) Slot(row int64, n int) (free func(), ok bool, err error) {
	d := &s.side
	var got int64
	err = d.use(s, func(c *session) error {
		var keys []int64
		for i := range min(n, places) {
			// The installation's mark keeps apart those that share a database; the row's number is
			// smaller.
			if key := int64(s.class)<<48 ^ (row*places + int64(i)); !d.held[key] {
				keys = append(keys, key)
			}
		}
		if len(keys) == 0 {
			return nil
		}
		// Tried one after the other, until one can be had.
		err := c.run(query{"SELECT key FROM unnest($1::bigint[]) AS key WHERE pg_try_advisory_lock(key) LIMIT 1", []any{keys}, one(&got)})
		if errors.Is(err, errNoRow) {
			return nil
		}
		if ok = err == nil; ok {
			if d.held == nil {
				d.held = map[int64]bool{}
			}
			d.held[got] = true
		}
		return err
	})
	if err != nil {
		return nil, false, wrap(fmt.Errorf("lock a place: %w", err))
	}
	if !ok {
		return nil, false, nil
	}
	return sync.OnceFunc(func() {
		// If it cannot be unlocked, no connection holds it.
		_ = d.use(s, func(c *session) error {
			if !d.held[got] {
				return nil
			}
			delete(d.held, got)
			return c.run(query{"SELECT pg_advisory_unlock($1)", []any{got}, drain})
		})
	}), true, nil
}

// asking is one look at the version, for all callers that came before it began.
type asking struct {
	done chan struct{}
	v    int64
	err  error
}

// every is the least time between two looks at the version: a thousand waiters in the queue look
// all the time.
const every = 2 * time.Millisecond

// Version changes when another handle, of this process or another, has written.
func (s *Store) Version(ctx context.Context) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if s.hearing.Load() { // without asking; below nothing, as the other numbers are not
		return -s.others.Load(), nil
	}
	d := &s.side
	d.mu.Lock()
	a := d.next
	first := a == nil
	if first {
		a = &asking{done: make(chan struct{})}
		d.next = a
	}
	pause := time.Until(d.last.Add(every))
	d.mu.Unlock()
	if first {
		time.Sleep(pause)
		a.err = d.use(s, func(n *session) error {
			d.mu.Lock()
			if d.next == a { // a caller that comes later may ask for newer writes
				d.next, d.last = nil, time.Now()
			}
			d.mu.Unlock()
			return n.run(query{text: "SELECT version FROM turn", rows: one(&a.v)})
		})
		d.mu.Lock()
		if d.next == a { // it could not be asked
			d.next = nil
		}
		d.mu.Unlock()
		a.v -= s.wrote.Load() // this handle's own writes are no news
		close(a.done)
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if a.err != nil {
		return 0, wrap(a.err)
	}
	return a.v, nil
}
