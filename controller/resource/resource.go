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
)

// Door is hostler as somebody in a namespace's project sees it; client.Client is one.
type Door interface {
	// AcquireOnce gives what was given to the same request with this key, or takes a lease.
	AcquireOnce(ctx context.Context, key string, req compute.Request) ([]compute.Lease, error)
	// GiveUp ends the request with this key, and has given back what it was given.
	GiveUp(ctx context.Context, key string) error
	Release(ctx context.Context, who compute.Who, opt compute.ReleaseOptions, names ...compute.ID) error
	// LeaseToken makes a token of a lease of ours, for that lease alone.
	LeaseToken(ctx context.Context, lease string, extend bool) (api.NewToken, error)
	Close() error
}

// Book tells what there is, to who may know all of it: the engine does.
type Book interface {
	Leases(ctx context.Context, q compute.LeaseQuery) ([]compute.Lease, error)
	Events(ctx context.Context, q compute.EventQuery) ([]compute.Event, error)
	Status(ctx context.Context) ([]compute.SourceStatus, error)
}

// Options join it to its surroundings. All but Kubeconfig, Context, Show, Sets, Step and Log are
// required.
type Options struct {
	// as client-go has them; "": $KUBECONFIG, ~/.kube/config, or the service account of the pod
	// that we run in
	Kubeconfig, Context string
	// Namespaces are those whose objects are read, and the project that each is in. "*": all
	// others; its project "*" is the one of the namespace's own name.
	Namespaces   map[string]string
	Show         int // so many leases that were made otherwise are shown as objects; 0: none
	Installation string
	// As lets in whoever makes objects in a namespace, as Owner(namespace), in that project; reason
	// is for the audit log.
	As func(namespace, project, reason string) (Door, error)
	// Sets are the namespaces whose sources, bundles and projects are applied, each namespace's as
	// one set; Applier lets in whoever makes objects in one of them.
	Sets    []string
	Applier func(namespace, reason string) (Applier, io.Closer, error)
	Book    func() Book // the newest, as configurations change
	Step    func(name string)
	Log     *slog.Logger
}

// Owner is who takes the leases of a namespace's objects.
func Owner(namespace string) string { return ownerPrefix + namespace }

const ownerPrefix = "kubernetes:"

const (
	workers = 8
	longest = time.Minute // between two attempts at an object
	// a second, of all objects together: what is said of waiting ones, and what is shown of other
	// leases
	told      = rate.Limit(10)
	lookEvery = time.Second // at the journal
	// what failed while the API server did not answer is tried again at once so often at most
	resumeEvery = 5 * time.Second
	listEvery   = 30 * time.Second // at all leases, at least
	// requests of one namespace at one source that are in the queue at a time
	mostWaiting = 200
	// after which an object goes though its lease could not be given back: that is done later
	departure   = 10 * time.Minute
	absentHint  = "`hostler docs crds | kubectl apply -f -` makes the kinds, for who may; docs/kubernetes-resources.md has the rules of the role that hostler needs"
	labelUID    = "kubernetes-uid"    // of leases: the object's
	labelObject = "kubernetes-object" // NAMESPACE/NAME
	// and of what was applied: the mark of the cluster that it is in
	labelWhere = "kubernetes-cluster"
	finalizer  = Group + "/lease"        // of objects: their lease is given back first
	labelShown = Group + "/shown"        // of objects: they show a lease that was made otherwise
	noteLease  = Group + "/lease"        // the annotation that has its ID
	noteOf     = Group + "/installation" // and the one that has whose it is
)

// Reconciler does what objects ask for. Run runs it.
type Reconciler struct {
	opt     Options
	log     *slog.Logger
	cluster *cluster
	leases  []*watch[LeaseSpec, LeaseStatus]
	sets    []*set
	queue   workqueue.TypedRateLimitingInterface[types.NamespacedName]
	telling *rate.Limiter
	census  *census
	all     sync.WaitGroup

	mu      sync.Mutex
	flights map[types.NamespacedName]*flight // requests under way
	crowds  map[crowd]int                    // how many of each

	stalled map[types.NamespacedName]bool // objects that failed as the API server did not answer

	// Of the goroutine that looks at all leases.
	// leases of objects of another cluster, when all were listed last
	elsewhere int
	rest      time.Time // no list before
	// objects that were made for leases, and that no watch has told of yet
	untold map[types.NamespacedName]bool
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
		telling: rate.NewLimiter(told, 50), census: newCensus(),
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](100*time.Millisecond, longest),
		),
		flights: map[types.NamespacedName]*flight{}, crowds: map[crowd]int{}, stalled: map[types.NamespacedName]bool{},
		untold: map[types.NamespacedName]bool{}}
	names := slices.Sorted(maps.Keys(opt.Namespaces))
	if slices.Contains(names, "*") {
		names = []string{""}
	}
	for _, namespace := range names {
		r.leases = append(r.leases, newWatch(r, "leases", namespace, func(o *Lease) { r.queue.Add(nameOf(o)) }))
	}
	for _, namespace := range opt.Sets {
		r.sets = append(r.sets, newSet(r, namespace))
	}
	return r
}

// Run does what objects ask for until ctx ends: requests that wait then are given up, and asked for
// again by who comes after us. It is called once.
func (r *Reconciler) Run(ctx context.Context) {
	defer r.all.Wait()
	r.all.Go(func() { <-ctx.Done(); r.queue.ShutDown() })
	for _, s := range r.sets {
		r.all.Go(func() { s.keep(ctx) })
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
	r.all.Go(func() { r.count(ctx) })
	for range workers {
		r.all.Go(func() {
			for r.work(ctx) {
			}
		})
	}
	r.look(ctx)
}

// Wake has what waits since it failed tried again at once: a configuration has changed, and there
// may be a source now.
func (r *Reconciler) Wake() {
	for _, s := range r.sets {
		s.woken.Store(true)
		s.ring()
	}
	r.again(func(l *Lease) bool { return l.Status.Phase == waiting })
}

// resume has all tried again at once that failed while the API server did not answer, or may have.
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
	for name := range stalled { // gone by now
		r.queue.Forget(name)
		r.queue.Add(name)
	}
	for _, s := range r.sets {
		s.ring()
	}
}

// again has objects tried again at once.
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

// stall notes an object that failed as the API server did not answer.
func (r *Reconciler) stall(name types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stalled[name] = true
	if !r.cluster.mute.Load() { // it answers somebody again by now
		r.cluster.returned.Store(true)
	}
}

// work does one thing. It reports whether there may be more.
func (r *Reconciler) work(ctx context.Context) bool {
	name, over := r.queue.Get()
	if over {
		return false
	}
	defer r.queue.Done(name)
	l := r.find(name)
	// with it the object has asked for a lease, whatever its labels are
	if l == nil || l.Labels[labelShown] != "" && !slices.Contains(l.Finalizers, finalizer) {
		r.abandon(name)
		r.census.forget(name)
		r.queue.Forget(name)
		return true
	}
	again, err := r.reconcile(ctx, l)
	switch {
	case ctx.Err() != nil, errors.Is(err, errAsked):
	case errors.Is(err, errAgain):
		r.queue.AddRateLimited(name)
	case err != nil:
		// these are told by the watch, or are old
		if !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && !apierrors.IsInvalid(err) {
			r.log.Warn("a Lease of Kubernetes", "lease", name.String(), "err", err)
		}
		if unheard(err) {
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

// watchOf is the watch that tells of a namespace; nil: none does.
func (r *Reconciler) watchOf(namespace string) *watch[LeaseSpec, LeaseStatus] {
	for _, w := range r.leases {
		if w.namespace == namespace || w.namespace == "" {
			return w
		}
	}
	return nil
}

// find returns what is known of an object; nil: nothing.
func (r *Reconciler) find(name types.NamespacedName) *Lease {
	if w := r.watchOf(name.Namespace); w != nil {
		return w.get(name)
	}
	return nil
}

// project is the one that a namespace is in.
func (r *Reconciler) project(namespace string) string {
	project, ok := r.opt.Namespaces[namespace]
	if !ok {
		if project = r.opt.Namespaces["*"]; project == "*" {
			return namespace
		}
	}
	return project
}

// door lets in whoever made an object.
func (r *Reconciler) door(namespace, name string) (Door, error) {
	return r.opt.As(namespace, r.project(namespace), "Lease "+namespace+"/"+name)
}

// pause waits, or until the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
