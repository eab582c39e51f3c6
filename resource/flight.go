package resource

import (
	"context"
	"math"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/hostler-project/hostler/compute"
)

// crowd are the requests of a namespace at a source.
type crowd struct{ namespace, source string }

// flight is a request that is under way.
type flight struct {
	uid    types.UID
	name   types.NamespacedName
	crowd  crowd
	begun  time.Time
	cancel context.CancelFunc
	done   chan struct{} // closed at its end; then leases and err are what came of it
	leases []compute.Lease
	err    error
	token  string // of the lease, if it was made; whoever sees to the object has it

	mu    sync.Mutex
	now   compute.Progress
	since time.Time // that it is in this phase
	past  []Step
}

// fly begins an object's request, or returns that which is under way. room: there is room for it among those of its namespace and source.
func (r *Reconciler) fly(ctx context.Context, l *Lease) (f *flight, room bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := nameOf(l)
	if f := r.flights[name]; f != nil {
		if f.uid == l.UID {
			return f, true
		}
		f.cancel() // of an object of the same name that is gone
	}
	c := crowd{l.Namespace, l.Spec.Source}
	if r.crowds[c] >= mostWaiting {
		return nil, false
	}
	r.crowds[c]++
	ctx, cancel := context.WithCancel(ctx)
	now := time.Now()
	f = &flight{uid: l.UID, name: name, crowd: c, begun: now, since: now, cancel: cancel, done: make(chan struct{})}
	r.flights[name] = f
	r.opt.Step("lease:acquire")
	r.all.Go(func() {
		defer cancel()
		defer r.queue.Add(name)
		defer close(f.done)
		f.leases, f.err = r.acquire(ctx, l, f)
	})
	return f, true
}

// acquire asks for what an object asks for.
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

// land ends a flight whose end was seen, and lets the next one of its crowd begin.
func (r *Reconciler) land(f *flight) {
	f.cancel()
	r.mu.Lock()
	if r.flights[f.name] == f {
		delete(r.flights, f.name)
	}
	full := r.crowds[f.crowd] >= mostWaiting
	if r.crowds[f.crowd]--; r.crowds[f.crowd] == 0 {
		delete(r.crowds, f.crowd)
	}
	r.mu.Unlock()
	if !full {
		return
	}
	var next *Lease
	for _, l := range r.watchOf(f.crowd.namespace).list() {
		if l.Namespace != f.crowd.namespace || l.Spec.Source != f.crowd.source || l.DeletionTimestamp != nil || l.Status.Phase == leased || l.Status.Phase == ended {
			continue
		}
		r.mu.Lock()
		flies := r.flights[nameOf(l)] != nil
		r.mu.Unlock()
		if !flies && (next == nil || inOrder([]*Lease{next, l})[0] == l) {
			next = l
		}
	}
	if next != nil {
		r.queue.Add(nameOf(next))
	}
}

// abandon ends the request of an object, if one is under way, and waits for that.
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

// hear notes how a request comes on.
func (f *flight) hear(p compute.Progress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.Phase != f.now.Phase {
		f.past, f.since = append(f.past, f.step()...), time.Now()
	}
	f.now = p
}

// step is the phase that it is in.
func (f *flight) step() []Step {
	if f.now.Phase == "" {
		return nil
	}
	return []Step{{f.now.Phase, math.Round(time.Since(f.since).Seconds()*1000) / 1000}}
}

// steps are its phases, when it has ended.
func (f *flight) steps() []Step {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append(f.past, f.step()...)
}
