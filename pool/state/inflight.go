package state

import (
	"context"
	"sync"
	"time"

	"github.com/hostler-project/hostler/linux/proc"
)

// Inflight is what a process is at work on now: instances that are being made, cleaned or
// discarded, pending leases, and requests in the queue. A record with this worker's number that
// is not on Inflight was abandoned because the store could not be written: the next look may
// take it. Engines on one handle of a store have one worker's number and share an Inflight. The
// zero value is ready.
type Inflight struct {
	Mu        sync.Mutex
	at        map[string]int
	clock     proc.Reading // of a store that several machines share
	said      string       // of it
	Inventory time.Time    // when the providers' lists were last compared with the records

	Workers SourceWorkers
}

// Take marks the keys as in use. A key may be taken several times.
func (d *Inflight) Take(keys ...string) {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	if d.at == nil {
		d.at = map[string]int{}
	}
	for _, k := range keys {
		d.at[k]++
	}
}

// Leave undoes one Take of each key.
func (d *Inflight) Leave(keys ...string) {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	for _, k := range keys {
		if d.at[k]--; d.at[k] <= 0 {
			delete(d.at, k)
		}
	}
}

func (d *Inflight) Has(key string) bool {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	return d.at[key] > 0
}

// AtWork reports whether a live worker holds the instance of this name, or the lease of this id,
// that is recorded as worker's.
func (p *Core) AtWork(worker int64, what string) bool {
	switch worker {
	case 0:
		return false
	case p.Store.Worker():
		return p.Inflight.Has(what)
	}
	return p.Store.Alive(worker)
}

// CleanupContext returns a context for recording what has been done although the caller has
// gone. Otherwise it would have to be found out anew.
func CleanupContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanupPatience)
}
