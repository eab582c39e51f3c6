package resource

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// finalize releases the lease of an object that is being deleted, and then removes its finalizer.
func (r *Reconciler) finalize(ctx context.Context, l *Lease) error {
	if !slices.Contains(l.Finalizers, finalizer) {
		return nil
	}
	r.cancelRequest(nameOf(l))
	if l.Status.Phase != ended {
		if err := r.cancelAndRelease(ctx, l); err != nil {
			if errors.Is(err, errLookupPending) || ctx.Err() != nil || time.Since(l.DeletionTimestamp.Time) < departure {
				return err
			}
			r.log.Error("a Lease of Kubernetes goes, and what it had is given back later", "lease", nameOf(l).String(), "err", err)
		}
	}
	r.opt.Step("lease:returned")
	rest := slices.DeleteFunc(slices.Clone(l.Finalizers), func(f string) bool { return f == finalizer })
	err := r.watchOf(l.Namespace).patch(
		ctx, l, "", operation{"test", "/metadata/finalizers", l.Finalizers},
		operation{"replace", "/metadata/finalizers", rest},
	)
	if apierrors.IsNotFound(err) {
		err = nil
	}
	return err
}

// cancelAndRelease cancels the request of an object that is being deleted, and releases what it was
// given. errLookupPending: that is being looked up.
func (r *Reconciler) cancelAndRelease(ctx context.Context, l *Lease) error {
	if l.Status.Instance != "" {
		return r.cancelAndReleaseBy(
			ctx, l.Namespace, l.Name, string(l.UID),
			inventory.LeaseQuery{Owner: Owner(l.Namespace), Instance: compute.ID(l.Status.Instance)},
		)
	}
	c, err := r.client(l.Namespace, l.Name) // it may have been given a lease just before a crash
	if err != nil {
		return err
	}
	defer c.Close()
	if all, found, err := r.lookup.take(l); err != nil || found {
		return cmp.Or(err, release(ctx, c, string(l.UID), all))
	}
	r.opt.Step("lease:giving-up")
	if err := c.GiveUp(ctx, string(l.UID)); err != nil {
		return err
	}
	r.lookup.ask(l)
	return errLookupPending
}

// cancelAndReleaseBy cancels the request of an object, which is refused from then on. It
// releases those leases of a query that the object was given.
func (r *Reconciler) cancelAndReleaseBy(ctx context.Context, namespace, name, uid string, q inventory.LeaseQuery) error {
	c, err := r.client(namespace, name)
	if err != nil {
		return err
	}
	defer c.Close()
	r.opt.Step("lease:giving-up")
	if err := c.GiveUp(ctx, uid); err != nil {
		return err
	}
	all, err := r.opt.Reader().Leases(ctx, q)
	if err != nil {
		return err
	}
	return release(ctx, c, uid, all)
}

// release releases the leases that the object of a UID was given.
func release(ctx context.Context, c Client, uid string, all []compute.Lease) error {
	for _, l := range all {
		if l.Labels[labelUID] == uid {
			if err := c.Release(ctx, compute.Who{}, compute.ReleaseOptions{}, compute.ID(l.ID)); err != nil {
				return err
			}
		}
	}
	return nil
}

// errLookupPending means that the object is queued again when its leases are known.
var errLookupPending = errors.New("it is being found out")

// leaseLookup looks up the leases of objects whose instance is not known. One list serves all
// objects that ask while the last list is made. So deleting thousands of waiting objects costs a
// few lists.
type leaseLookup struct {
	bell chan struct{} // one slot

	mu    sync.Mutex
	asks  map[types.NamespacedName]types.UID
	found map[types.NamespacedName]lookupResult
}

// lookupResult is the result for one object.
type lookupResult struct {
	of     types.UID
	leases []compute.Lease // of its namespace
	err    error
}

func newLeaseLookup() *leaseLookup {
	return &leaseLookup{
		bell: make(chan struct{}, 1), asks: map[types.NamespacedName]types.UID{}, found: map[types.NamespacedName]lookupResult{},
	}
}

// ask requests a lookup for an object and does not wait. The object is queued again when
// it is done.
func (c *leaseLookup) ask(l *Lease) {
	c.mu.Lock()
	c.asks[nameOf(l)] = l.UID
	c.mu.Unlock()
	select {
	case c.bell <- struct{}{}:
	default:
	}
}

// take returns the result for an object once; found is false if there is none.
func (c *leaseLookup) take(l *Lease) (leases []compute.Lease, found bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, found := c.found[nameOf(l)]
	delete(c.found, nameOf(l))
	if n.of != l.UID {
		return nil, false, nil
	}
	return n.leases, found, n.err
}

// forget drops the result for an object that is gone.
func (c *leaseLookup) forget(name types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.found, name)
}

// lookupDelay is how long to wait for others after the first request: objects are often deleted
// together.
const lookupDelay = 100 * time.Millisecond

// lookUpLeases looks up leases for the objects that ask, until ctx ends.
func (r *Reconciler) lookUpLeases(ctx context.Context) {
	c := r.lookup
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.bell:
		}
		pause(ctx, lookupDelay)
		c.mu.Lock()
		asks := c.asks
		c.asks = map[types.NamespacedName]types.UID{}
		c.mu.Unlock()
		counts := map[string]lookupResult{}
		for name, uid := range asks {
			n, ok := counts[name.Namespace]
			if !ok {
				n.leases, n.err = r.opt.Reader().Leases(ctx, inventory.LeaseQuery{Owner: Owner(name.Namespace)})
				n.leases = slices.DeleteFunc(n.leases, func(l compute.Lease) bool { return l.Labels[labelUID] == "" })
				counts[name.Namespace] = n
			}
			n.of = uid
			c.mu.Lock()
			c.found[name] = n
			c.mu.Unlock()
			r.queue.Add(name)
		}
	}
}
