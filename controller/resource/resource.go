package resource

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"

	"golang.org/x/time/rate"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// Client is hostler as a user of a namespace's project sees it; client.Client is one.
type Client interface {
	// AcquireOnce returns what the same request with this key was given, or takes a lease.
	AcquireOnce(ctx context.Context, key string, req compute.Request) ([]compute.Lease, error)
	// GiveUp cancels the request with this key, and releases what it was given.
	GiveUp(ctx context.Context, key string) error
	Release(ctx context.Context, who compute.Who, opt compute.ReleaseOptions, names ...compute.ID) error
	// LeaseToken makes a token that is only for one lease of the caller.
	LeaseToken(ctx context.Context, lease string, extend bool) (api.NewToken, error)
	Close() error
}

// Reader reads everything that there is; the engine does.
type Reader interface {
	Leases(ctx context.Context, q inventory.LeaseQuery) ([]compute.Lease, error)
	Events(ctx context.Context, q inventory.EventQuery) ([]compute.Event, error)
	Status(ctx context.Context) ([]inventory.SourceStatus, error)
}

// Options join a Reconciler to its surroundings. All but Kubeconfig, Context, Show, Sets, Applier,
// Step and Log are required.
type Options struct {
	// as in client-go; "": $KUBECONFIG, ~/.kube/config, or the service account of the pod
	Kubeconfig, Context string
	// Namespaces whose Lease objects are read, with the project of each. "*" stands for all others;
	// its project "*" means the project with the namespace's name.
	Namespaces   map[string]string
	Show         int // how many leases made by other means are shown as objects; 0: none
	Installation string
	// As returns a Client for the objects of a namespace, as Owner(namespace) in that project.
	// reason is for the audit log.
	As func(namespace, project, reason string) (Client, error)
	// Sets are the namespaces whose sources, bundles and projects are applied, one set for each.
	// Applier returns what applies the set of a namespace.
	Sets    []string
	Applier func(namespace, reason string) (Applier, io.Closer, error)
	Reader  func() Reader // the newest, as configurations change
	Step    func(name string)
	Log     *slog.Logger
}

// Owner returns the owner of the leases of a namespace's objects.
func Owner(namespace string) string { return "kubernetes:" + namespace }

const (
	workers = 8
	longest = time.Minute // the longest pause between two attempts at an object
	// writes a second, for all objects: progress of waiting ones, and shown leases
	told      = rate.Limit(10)
	lookEvery = time.Second // how often to read the journal
	// the shortest time between two retries of everything after the API server's return
	resumeEvery = 5 * time.Second
	listEvery   = 30 * time.Second // the longest time between two lists of all leases
	// requests in the queue of one namespace at one source
	mostWaiting = 200
	// after this an object goes although its lease could not be released; that is done later
	departure   = 10 * time.Minute
	absentHint  = "`hostler docs crds | kubectl apply -f -` makes the kinds, for who may; docs/kubernetes-resources.md has the rules of the role that hostler needs"
	labelUID    = "kubernetes-uid"    // a lease's label: the object's UID
	labelObject = "kubernetes-object" // NAMESPACE/NAME
	// also on applied things: the mark of the object's cluster
	labelWhere = "kubernetes-cluster"
	finalizer  = Group + "/lease"        // on objects: their lease must be released first
	labelShown = Group + "/shown"        // on objects: they only show a lease
	noteLease  = Group + "/lease"        // annotation with the lease's ID
	noteOf     = Group + "/installation" // annotation with the installation
)

// Reconciler serves the objects of a cluster. Run runs it.
type Reconciler struct {
	opt        Options
	log        *slog.Logger
	cluster    *cluster
	leases     []*watch[LeaseSpec, LeaseStatus]
	sets       []*applySet
	queue      workqueue.TypedRateLimitingInterface[types.NamespacedName]
	writeLimit *rate.Limiter
	lookup     *leaseLookup
	all        sync.WaitGroup

	mu       sync.Mutex
	inflight map[types.NamespacedName]*inflightRequest // requests in progress
	perQuota map[quotaKey]int                          // the number of requests in each

	stalled map[types.NamespacedName]bool // objects that failed while the API server did not answer

	// Only used by look.
	// leases of another cluster's objects in the last list
	elsewhere int
	rest      time.Time // no list before this time
	// objects created for leases that no watch has reported yet
	unreported map[types.NamespacedName]bool
}

// New makes a Reconciler, which does nothing before Run.
func New(opt Options) *Reconciler {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Step == nil {
		opt.Step = func(string) {}
	}
	r := &Reconciler{opt: opt, log: opt.Log, cluster: &cluster{kubeconfig: opt.Kubeconfig, context: opt.Context},
		writeLimit: rate.NewLimiter(told, 50), lookup: newLeaseLookup(),
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](100*time.Millisecond, longest),
		),
		inflight: map[types.NamespacedName]*inflightRequest{}, perQuota: map[quotaKey]int{}, stalled: map[types.NamespacedName]bool{},
		unreported: map[types.NamespacedName]bool{}}
	names := slices.Sorted(maps.Keys(opt.Namespaces))
	if slices.Contains(names, "*") {
		names = []string{""}
	}
	for _, namespace := range names {
		r.leases = append(r.leases, newWatch(r, "leases", namespace, func(o *Lease) { r.queue.Add(nameOf(o)) }))
	}
	for _, namespace := range opt.Sets {
		r.sets = append(r.sets, newApplySet(r, namespace))
	}
	return r
}

// Run serves objects until ctx ends. Waiting requests are then cancelled; the next leader requests
// them again. Run must be called only once.
func (r *Reconciler) Run(ctx context.Context) {
	defer r.all.Wait()
	r.all.Go(func() { <-ctx.Done(); r.queue.ShutDown() })
	for _, s := range r.sets {
		r.all.Go(func() { s.run(ctx) })
	}
	for _, w := range r.leases {
		r.all.Go(func() { w.run(ctx) })
	}
	for _, w := range r.leases {
		if !w.known(ctx) {
			return
		}
	}
	if len(r.leases) == 0 {
		return
	}
	r.all.Go(func() { r.lookUpLeases(ctx) })
	for range workers {
		r.all.Go(func() {
			for r.work(ctx) {
			}
		})
	}
	r.syncLeases(ctx)
}

// Wake retries failed objects at once, as a new configuration may have the source that they need.
func (r *Reconciler) Wake() {
	for _, s := range r.sets {
		s.woken.Store(true)
		s.ring()
	}
	r.again(func(l *Lease) bool { return l.Status.Phase == waiting })
}

// resume retries everything that failed while the API server did not answer, or may have.
func (r *Reconciler) resume() {
	r.mu.Lock()
	stalled := r.stalled
	r.stalled = map[types.NamespacedName]bool{}
	r.mu.Unlock()
	r.again(func(l *Lease) bool {
		name := nameOf(l)
		due := stalled[name] || l.Status.Phase == waiting
		delete(stalled, name)
		return due
	})
	for name := range stalled { // deleted meanwhile
		r.queue.Forget(name)
		r.queue.Add(name)
	}
	for _, s := range r.sets {
		s.ring()
	}
}

// again retries objects at once.
func (r *Reconciler) again(which func(*Lease) bool) {
	for _, w := range r.leases {
		for _, l := range inOrder(w.list()) {
			if which(l) {
				r.queue.Forget(nameOf(l))
				r.queue.Add(nameOf(l))
			}
		}
	}
}

// stall notes an object that failed because the API server did not answer.
func (r *Reconciler) stall(name types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stalled[name] = true
	if !r.cluster.mute.Load() { // it has answered another call meanwhile
		r.cluster.returned.Store(true)
	}
}

// work handles one object from the queue. It returns false when the queue is closed.
func (r *Reconciler) work(ctx context.Context) bool {
	name, over := r.queue.Get()
	if over {
		return false
	}
	defer r.queue.Done(name)
	l := r.find(name)
	// an object with the finalizer has asked for a lease, whatever its labels
	if l == nil || l.Labels[labelShown] != "" && !slices.Contains(l.Finalizers, finalizer) {
		r.cancelRequest(name)
		r.lookup.forget(name)
		r.queue.Forget(name)
		return true
	}
	again, err := r.reconcile(ctx, l)
	switch {
	case ctx.Err() != nil, errors.Is(err, errLookupPending):
	case errors.Is(err, errAgain):
		r.queue.AddRateLimited(name)
	case err != nil:
		// the watch reports these, or they are outdated
		if !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && !apierrors.IsInvalid(err) {
			r.log.Warn("a Lease of Kubernetes", "lease", name.String(), "err", err)
		}
		if isUnreachable(err) {
			r.stall(name)
		}
		r.queue.AddRateLimited(name)
	default:
		r.queue.Forget(name)
		if again > 0 {
			r.queue.AddAfter(name, again)
		}
	}
	return true
}

// watchOf returns the watch of a namespace; nil: there is none.
func (r *Reconciler) watchOf(namespace string) *watch[LeaseSpec, LeaseStatus] {
	for _, w := range r.leases {
		if w.namespace == namespace || w.namespace == "" {
			return w
		}
	}
	return nil
}

// find returns an object as last seen; nil: unknown.
func (r *Reconciler) find(name types.NamespacedName) *Lease {
	if w := r.watchOf(name.Namespace); w != nil {
		return w.get(name)
	}
	return nil
}

// project returns the project of a namespace.
func (r *Reconciler) project(namespace string) string {
	project, ok := r.opt.Namespaces[namespace]
	if !ok {
		if project = r.opt.Namespaces["*"]; project == "*" {
			return namespace
		}
	}
	return project
}

// client returns a Client for an object.
func (r *Reconciler) client(namespace, name string) (Client, error) {
	return r.opt.As(namespace, r.project(namespace), "Lease "+namespace+"/"+name)
}

// pause waits for a duration, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
