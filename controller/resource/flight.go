package resource

import (
	"context"
	"math"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/hostler-project/hostler/compute"
)

// crowd identifies the requests of a namespace at a source.
type crowd struct{ namespace, source string }

func crowdOf(l *Lease) crowd { return crowd{l.Namespace, l.Spec.Source} }

// flight is a request in progress.
type flight struct {
	uid    types.UID
	name   types.NamespacedName
	crowd  crowd
	begun  time.Time
	cancel context.CancelFunc
	done   chan struct{} // closed at the end, when leases and err are set
	leases []compute.Lease
	err    error
	token  string // the lease's token, if made; used by the worker of the object

	mu    sync.Mutex
	now   compute.Progress
	since time.Time // the start of the current phase
	past  []Step
}

// fly starts an object's request, or returns the one in progress; nil: its crowd has mostWaiting
// already.
func (r *Reconciler) fly(ctx context.Context, l *Lease) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := nameOf(l)
	if f := r.flights[name]; f != nil {
		if f.uid == l.UID {
			return f
		}
		r.end(f) // of a deleted object with the same name
	}
	if r.crowds[crowdOf(l)] >= mostWaiting {
		return nil
	}
	r.crowds[crowdOf(l)]++
	ctx, cancel := context.WithCancel(ctx)
	now := time.Now()
	f := &flight{uid: l.UID, name: name, crowd: crowdOf(l), begun: now, since: now, cancel: cancel, done: make(chan struct{})}
	r.flights[name] = f
	r.opt.Step("lease:acquire")
	r.all.Go(func() {
		defer cancel()
		defer r.queue.Add(name)
		defer close(f.done)
		f.leases, f.err = r.acquire(ctx, l, f)
	})
	return f
}

// end cancels a flight and makes room in its crowd. r.mu must be held.
func (r *Reconciler) end(f *flight) {
	f.cancel()
	if r.flights[f.name] != f {
		return
	}
	delete(r.flights, f.name)
	if r.crowds[f.crowd]--; r.crowds[f.crowd] == 0 {
		delete(r.crowds, f.crowd)
	}
}

// acquire requests the lease of an object and waits for it.
func (r *Reconciler) acquire(ctx context.Context, l *Lease, f *flight) ([]compute.Lease, error) {
	req, err := r.request(l)
	if err != nil {
		return nil, err
	}
	req.Notify = func(p compute.Progress) {
		f.hear(p)
		r.queue.AddAfter(f.name, time.Second)
	}
	door, err := r.door(l.Namespace, l.Name)
	if err != nil {
		return nil, err
	}
	defer door.Close()
	leases, err := door.AcquireOnce(ctx, string(l.UID), req)
	if err == nil && len(leases) == 0 {
		err = &compute.Error{Kind: compute.ErrFailed}
	}
	return leases, err
}

// land ends a flight whose result was handled, and starts the oldest waiting object of its crowd.
func (r *Reconciler) land(f *flight) {
	r.mu.Lock()
	full := r.crowds[f.crowd] >= mostWaiting
	r.end(f)
	r.mu.Unlock()
	if !full {
		return
	}
	var wait []*Lease
	for _, l := range r.watchOf(f.crowd.namespace).list() {
		r.mu.Lock()
		flies := r.flights[nameOf(l)] != nil
		r.mu.Unlock()
		if crowdOf(l) == f.crowd && !flies && l.DeletionTimestamp == nil && l.Status.Phase != leased && l.Status.Phase != ended {
			wait = append(wait, l)
		}
	}
	if len(wait) > 0 {
		r.queue.Add(nameOf(inOrder(wait)[0]))
	}
}

// abandon cancels the request of an object, if there is one, and waits for its end.
func (r *Reconciler) abandon(name types.NamespacedName) {
	r.mu.Lock()
	f := r.flights[name]
	r.mu.Unlock()
	if f != nil {
		f.cancel()
		<-f.done
		r.land(f)
	}
}

// hear notes the progress of a request.
func (f *flight) hear(p compute.Progress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.Phase != f.now.Phase {
		f.past, f.since = f.steps(), time.Now()
	}
	f.now = p
}

// steps returns the phases so far. f.mu is held, or the flight has ended.
func (f *flight) steps() []Step {
	if f.now.Phase == "" {
		return f.past
	}
	return append(f.past, Step{f.now.Phase, math.Round(time.Since(f.since).Seconds()*1000) / 1000})
}

// waits returns the request's position in the queue, and what it waits for.
func (f *flight) waits() (place int, why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if why = f.now.Reason; why == "" && f.now.Phase != "" && f.now.Phase != "wait" {
		why = f.now.Phase + " " + string(f.now.Instance)
	}
	return f.now.Position, why
}
