package resource

import (
	"context"
	"math"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/hostler-project/hostler/compute"
)

// quotaKey identifies the requests of a namespace at a source.
type quotaKey struct{ namespace, source string }

func quotaKeyOf(l *Lease) quotaKey { return quotaKey{l.Namespace, l.Spec.Source} }

// inflightRequest is a request in progress.
type inflightRequest struct {
	uid    types.UID
	name   types.NamespacedName
	quota  quotaKey
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

// startRequest starts an object's request, or returns the one in progress; nil: its quota of
// mostWaiting is used.
func (r *Reconciler) startRequest(ctx context.Context, l *Lease) *inflightRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := nameOf(l)
	if f := r.inflight[name]; f != nil {
		if f.uid == l.UID {
			return f
		}
		r.removeRequest(f) // of a deleted object with the same name
	}
	if r.perQuota[quotaKeyOf(l)] >= mostWaiting {
		return nil
	}
	r.perQuota[quotaKeyOf(l)]++
	ctx, cancel := context.WithCancel(ctx)
	now := time.Now()
	f := &inflightRequest{uid: l.UID, name: name, quota: quotaKeyOf(l), begun: now, since: now, cancel: cancel, done: make(chan struct{})}
	r.inflight[name] = f
	r.opt.Step("lease:acquire")
	r.all.Go(func() {
		defer cancel()
		defer r.queue.Add(name)
		defer close(f.done)
		f.leases, f.err = r.acquire(ctx, l, f)
	})
	return f
}

// removeRequest cancels a request and makes room in its quota. r.mu must be held.
func (r *Reconciler) removeRequest(f *inflightRequest) {
	f.cancel()
	if r.inflight[f.name] != f {
		return
	}
	delete(r.inflight, f.name)
	if r.perQuota[f.quota]--; r.perQuota[f.quota] == 0 {
		delete(r.perQuota, f.quota)
	}
}

// acquire requests the lease of an object and waits for it.
func (r *Reconciler) acquire(ctx context.Context, l *Lease, f *inflightRequest) ([]compute.Lease, error) {
	req, err := r.request(l)
	if err != nil {
		return nil, err
	}
	req.Notify = func(p compute.Progress) {
		f.observe(p)
		r.queue.AddAfter(f.name, time.Second)
	}
	c, err := r.client(l.Namespace, l.Name)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	leases, err := c.AcquireOnce(ctx, string(l.UID), req)
	if err == nil && len(leases) == 0 {
		err = &compute.Error{Kind: compute.ErrFailed}
	}
	return leases, err
}

// finishRequest ends a request whose result was handled, and starts the oldest waiting object of
// its quota.
func (r *Reconciler) finishRequest(f *inflightRequest) {
	r.mu.Lock()
	full := r.perQuota[f.quota] >= mostWaiting
	r.removeRequest(f)
	r.mu.Unlock()
	if !full {
		return
	}
	var wait []*Lease
	for _, l := range r.watchOf(f.quota.namespace).list() {
		r.mu.Lock()
		flies := r.inflight[nameOf(l)] != nil
		r.mu.Unlock()
		if quotaKeyOf(l) == f.quota && !flies && l.DeletionTimestamp == nil && l.Status.Phase != leased && l.Status.Phase != ended {
			wait = append(wait, l)
		}
	}
	if len(wait) > 0 {
		r.queue.Add(nameOf(inOrder(wait)[0]))
	}
}

// cancelRequest cancels the request of an object, if there is one, and waits for its end.
func (r *Reconciler) cancelRequest(name types.NamespacedName) {
	r.mu.Lock()
	f := r.inflight[name]
	r.mu.Unlock()
	if f != nil {
		f.cancel()
		<-f.done
		r.finishRequest(f)
	}
}

// observe notes the progress of a request.
func (f *inflightRequest) observe(p compute.Progress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.Phase != f.now.Phase {
		f.past, f.since = f.steps(), time.Now()
	}
	f.now = p
}

// steps returns the phases so far. f.mu is held, or the request has ended.
func (f *inflightRequest) steps() []Step {
	if f.now.Phase == "" {
		return f.past
	}
	return append(f.past, Step{f.now.Phase, math.Round(time.Since(f.since).Seconds()*1000) / 1000})
}

// waits returns the request's position in the queue, and what it waits for.
func (f *inflightRequest) waits() (place int, why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if why = f.now.Reason; why == "" && f.now.Phase != "" && f.now.Phase != "wait" {
		why = f.now.Phase + " " + string(f.now.Instance)
	}
	return f.now.Position, why
}
