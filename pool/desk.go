package pool

import (
	"context"
	"sync"
	"time"
)

// Desk is what a process is at work on now: instances that are being made, cleaned or discarded,
// leases not told yet, and requests in the queue. What is recorded as a worker's and does not lie
// on its desk was put down without a word, because the store could not take it: it is free for the
// next to look. Engines on one handle of a store, which have one worker's number, share a desk. The
// zero value is ready.
type Desk struct {
	mu        sync.Mutex
	at        map[string]int
	clock     reading   // of a store that several machines share
	said      string    // of it
	inventory time.Time // when the providers' lists were last compared with the records

	lanes lanes
}

func (d *Desk) take(keys ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at == nil {
		d.at = map[string]int{}
	}
	for _, k := range keys {
		d.at[k]++
	}
}

func (d *Desk) leave(keys ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range keys {
		if d.at[k]--; d.at[k] <= 0 {
			delete(d.at, k)
		}
	}
}

func (d *Desk) has(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at[key] > 0
}

// atWork tells whether somebody is at work on what is recorded as a worker's: an instance, by its
// name, or a lease, by its id.
func (p *Pool) atWork(worker int64, what string) bool {
	switch worker {
	case 0:
		return false
	case p.store.Worker():
		return p.desk.has(what)
	}
	return p.store.Alive(worker)
}

// keysOf are what units lay on the desk.
func keysOf(units []*unit) (keys []string) {
	for _, u := range units {
		_ = u.each(func(u *unit) error {
			keys = append(keys, string(u.inst.ID))
			if u.lease != nil {
				keys = append(keys, u.lease.ID)
			}
			return nil
		})
	}
	return keys
}

// mend is the context to record with what has been done, though its asker has gone: what is done
// and not recorded would have to be found out anew.
func mend(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), mendPatience)
}
