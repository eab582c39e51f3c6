package pool

import (
	"context"
	"sync"
	"time"

	"github.com/hostler-project/hostler/pool/allocate"
)

// Inflight is what a process is at work on now: instances that are being made, cleaned or
// discarded, pending leases, and requests in the queue. A record with this worker's number that
// is not on its desk was abandoned because the store could not be written: the next look may
// take it. Engines on one handle of a store have one worker's number and share an Inflight. The
// zero value is ready.
type Inflight struct {
	mu        sync.Mutex
	at        map[string]int
	clock     reading   // of a store that several machines share
	said      string    // of it
	inventory time.Time // when the providers' lists were last compared with the records

	workers sourceWorkers
}

func (d *Inflight) take(keys ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at == nil {
		d.at = map[string]int{}
	}
	for _, k := range keys {
		d.at[k]++
	}
}

func (d *Inflight) leave(keys ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range keys {
		if d.at[k]--; d.at[k] <= 0 {
			delete(d.at, k)
		}
	}
}

func (d *Inflight) has(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at[key] > 0
}

// atWork reports whether a live worker holds the instance of this name, or the lease of this id,
// that is recorded as worker's.
func (p *core) atWork(worker int64, what string) bool {
	switch worker {
	case 0:
		return false
	case p.store.Worker():
		return p.inflight.has(what)
	}
	return p.store.Alive(worker)
}

// keysOf returns the keys of grants in Inflight.
func keysOf(units []*allocate.Grant) (keys []string) {
	for _, u := range units {
		_ = u.Each(func(u *allocate.Grant) error {
			keys = append(keys, string(u.Instance.ID))
			if u.Lease != nil {
				keys = append(keys, u.Lease.ID)
			}
			return nil
		})
	}
	return keys
}

// cleanupContext returns a context for recording what has been done although the caller has
// gone. Otherwise it would have to be found out anew.
func cleanupContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanupPatience)
}
