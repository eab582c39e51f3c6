package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/hostler-project/hostler/compute"
)

const usualFresh = 30 * time.Second

// watch knows all objects of one kind of the installation's in a namespace, by one watch that is
// begun when it is first asked. Of each only what we need is kept.
type watch struct {
	c  *cluster
	of watched

	mu         sync.Mutex
	all        map[string]*record   // by name
	tombstones map[string]tombstone // by name
	ours       map[string]deletion  // the ids of objects that we are deleting, or have deleted
	swept      time.Time            // that those of long ago were forgotten
	synced     chan struct{}        // closed when the first list is there
	broken     error                // why there is no watch now; nil: there is one
	// what was said when we may not watch; to list then works, and begins all anew again and again
	denied    error
	since     time.Time              // that it has been so
	stop      context.CancelFunc     // nil: not begun
	ended     chan struct{}          // closed when it has ended
	timed     map[string]timing      // how long pods took to start, by source
	informers map[string][]*informer // by the name of what they wait for
	news      bool                   // there is some, which unlock tells

	silence time.Duration // how long it may tell nothing
	spare   *time.Timer   // gives back what a long list took; nil: there was none
}

// A list of so many objects takes several times as much memory for a moment as what is kept of it,
// and the garbage collector would leave that lie.
const longList = 1000

func newWatch(c *cluster, of watched) *watch {
	return &watch{c: c, of: of, all: map[string]*record{}, tombstones: map[string]tombstone{}, ours: map[string]deletion{}, silence: silence}
}

// begin starts the watch, unless it runs.
func (w *watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop != nil || w.c.over.Load() {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop, w.synced, w.ended = stop, make(chan struct{}), make(chan struct{})
	r := cache.NewReflectorWithOptions(
		w.source(), &unstructured.Unstructured{}, w,
		cache.ReflectorOptions{Name: "hostler/" + w.of.gvr.Resource, TypeDescription: w.of.gvr.Resource, Backoff: &pause},
	)
	r.ShouldResync = nil
	go func() {
		defer close(w.ended)
		for ctx.Err() == nil { // the reflector's own run hides why it failed
			// nil is also what it says of some watches that have failed: that there is one, its
			// calls tell
			if err := r.ListAndWatchWithContext(ctx); err != nil {
				w.fail(err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}()
}

// pause is between two tries to watch. The library's own grows to a minute: for so long nothing new
// would be known once the API server is back, and a source that is closed meanwhile would wait for
// it, as the library does not end some of its pauses.
var pause = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 10, Cap: 3 * time.Second}

// begun reports whether the watch runs.
func (w *watch) begun() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stop != nil
}

func (w *watch) close() {
	w.mu.Lock()
	stop, ended := w.stop, w.ended
	if w.spare != nil {
		w.spare.Stop()
	}
	w.mu.Unlock()
	if stop != nil {
		stop()
		<-ended
	}
}

// source lists and watches the installation's pods.
func (w *watch) source() cache.ListerWatcher {
	own := func(o *metav1.ListOptions) { o.LabelSelector = w.of.label + "=" + w.c.o.Installation }
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (out runtime.Object, err error) {
			own(&o)
			err = w.c.call(ctx, func(ctx context.Context, d dynamic.Interface) error {
				list, err := d.Resource(w.of.gvr).Namespace(w.c.namespace).List(ctx, o)
				if err != nil {
					return err
				}
				for i := range list.Items {
					_, _ = slim(&list.Items[i]) // it has no error for these
				}
				out = list
				return nil
			})
			w.fail(err)
			return out, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (out apiwatch.Interface, err error) {
			own(&o)
			err = w.c.call(ctx, func(ctx context.Context, d dynamic.Interface) (err error) {
				out, err = d.Resource(w.of.gvr).Namespace(w.c.namespace).Watch(ctx, o)
				return err
			})
			w.fail(err)
			if err == nil {
				out = w.attend(out)
			}
			w.mu.Lock()
			if w.denied = nil; apierrors.IsForbidden(err) {
				w.denied = err
			}
			w.mu.Unlock()
			return out, err
		},
	}
}

// fail notes that the watch does not work, or that it does again.
func (w *watch) fail(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	w.mu.Lock()
	w.breaks(err)
	w.unlock()
}

// breaks notes why there is no watch now; nil: there is one. The caller holds mu.
func (w *watch) breaks(err error) {
	if (err == nil) != (w.broken == nil) {
		w.since, w.news = time.Now(), true
	}
	w.broken = err
}

// unlock gives mu up, and tells then that there is news.
func (w *watch) unlock() {
	news := w.news
	w.news = false
	w.mu.Unlock()
	if news {
		w.c.herald()
	}
}

// silence is how long a watch may tell nothing: API servers send a bookmark each minute. A way that
// is dead without a word is noticed so, over HTTP/1.1 too.
const silence = 150 * time.Second

// attentive is a watch that ends when it has told nothing for too long.
type attentive struct {
	apiwatch.Interface
	out chan apiwatch.Event
	end func()
}

func (a attentive) ResultChan() <-chan apiwatch.Event { return a.out }
func (a attentive) Stop()                             { a.end(); a.Interface.Stop() }

// attend passes on what a watch tells, until it ends, is stopped, or is silent for too long.
func (w *watch) attend(in apiwatch.Interface) apiwatch.Interface {
	stopped := make(chan struct{})
	a := attentive{in, make(chan apiwatch.Event), sync.OnceFunc(func() { close(stopped) })}
	go func() { // the reflector, which is told of it, stops each watch
		defer close(a.out)
		for {
			select {
			case e, ok := <-in.ResultChan():
				if !ok {
					return
				}
				select {
				case a.out <- e:
				case <-stopped:
					return
				}
			case <-stopped:
				return
			case <-time.After(w.silence):
				w.fail(&compute.Error{
					Kind: compute.ErrUnavailable, Err: fmt.Errorf("the API server has told nothing for %v", w.silence),
					Hint: "can it be reached from here still?",
				})
				in.Stop()
				return
			}
		}
	}()
	return a
}

// trusted waits until the watch has told all that there is. An error says why that cannot be known
// now.
func (w *watch) trusted(ctx context.Context) error {
	w.begin()
	for {
		if w.c.over.Load() { // what it told last may have changed since
			return errClosed
		}
		w.mu.Lock()
		err, since, synced, denied := w.broken, w.since, w.synced, w.denied
		w.mu.Unlock()
		if denied != nil {
			return denied
		}
		done := false
		select {
		case <-synced:
			done = true
		default:
		}
		if err != nil && (!done || time.Since(since) > cmp.Or(w.c.o.fresh, usualFresh)) {
			return err
		}
		if done {
			return nil
		}
		select {
		case <-synced:
		case <-time.After(20 * time.Millisecond): // it may have failed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// list returns all pods of a source.
func (w *watch) list(ctx context.Context, source string) ([]*record, error) {
	if err := w.trusted(ctx); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*record
	for _, name := range slices.Sorted(maps.Keys(w.all)) {
		if p := w.all[name]; p.source() == source {
			out = append(out, p)
		}
	}
	return out, nil
}

// get returns what is known of a pod; nil: nothing.
func (w *watch) get(name string) *record {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all[name]
}

// sees returns what is known of an object now, without waiting; nil: nothing, or the watch does not
// tell all at this moment.
func (w *watch) sees(name string) *record {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop == nil || w.broken != nil || w.denied != nil || w.c.over.Load() {
		return nil
	}
	select {
	case <-w.synced:
		return w.all[name]
	default:
		return nil
	}
}

// works reports whether it tells all at this moment, and not only counts still for what it told
// last.
func (w *watch) works() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken == nil && w.denied == nil
}

// took is how long pods of a source took until they ran, in the mean of those that are there; 0:
// none has run. It is to the second, as pods' times are, and rounded up.
func (w *watch) took(source string) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.timed[source].at) < tookLasts {
		return w.timed[source].took
	}
	var sum time.Duration
	n := 0
	for _, r := range w.all {
		if r.source() != source || len(r.Status.ContainerStatuses) == 0 || r.Status.ContainerStatuses[0].State.Running == nil {
			continue
		}
		if d := r.Status.ContainerStatuses[0].State.Running.StartedAt.Sub(r.Metadata.CreationTimestamp.Time); d >= 0 {
			sum += d + time.Second
			n++
		}
	}
	if n == 0 {
		return 0
	}
	if w.timed == nil {
		w.timed = map[string]timing{}
	}
	w.timed[source] = timing{time.Now(), sum / time.Duration(n)}
	return w.timed[source].took
}

// tookLasts is how long what was found is taken to be so: it takes a look at all.
const tookLasts = 10 * time.Second

type timing struct {
	at   time.Time
	took time.Duration
}

// put keeps an object, with when we first saw what is to be waited for.
func (w *watch) put(r *record) {
	w.date(r, w.all[r.Metadata.Name])
	if g := w.tombstones[r.Metadata.Name]; g.of != nil && g.of.Metadata.UID == r.Metadata.UID {
		delete(w.tombstones, r.Metadata.Name)
	}
	if _, ends := r.passes(); ends && w.ours[r.Metadata.UID].at.IsZero() {
		ended := false // before
		if old := w.all[r.Metadata.Name]; old != nil && old.Metadata.UID == r.Metadata.UID {
			_, ended = old.passes()
		}
		w.news = w.news || !ended
	}
	w.all[r.Metadata.Name] = r
	w.toll(r, false)
}

// date notes when we first saw what an object is, by our own clock: the cluster's may be another.
// old is what was known of it before.
func (w *watch) date(r, old *record) {
	now := time.Now()
	r.first = now
	if r.Metadata.DeletionTimestamp != nil {
		r.going = now
	}
	if r.unschedulable() != nil {
		r.waits = now
	}
	if old == nil || old.Metadata.UID != r.Metadata.UID {
		return
	}
	r.first = old.first
	if !r.going.IsZero() && !old.going.IsZero() {
		r.going = old.going
	}
	if !r.waits.IsZero() && !old.waits.IsZero() {
		r.waits = old.waits
	}
}

// drop forgets one.
func (w *watch) drop(name string) {
	if r := w.all[name]; r != nil {
		w.mourn(r)
		delete(w.all, name)
	}
}

// note takes what a call answered: the watch will tell it too, later.
func (w *watch) note(p *record) {
	w.mu.Lock()
	defer w.unlock()
	if old := w.all[p.Metadata.Name]; old == nil || !older(p, old) {
		w.put(p)
	} else {
		w.date(p, old)
	}
}

// gone takes that a call found no pod.
func (w *watch) gone(name string) {
	w.mu.Lock()
	defer w.unlock()
	w.drop(name)
}

// older reports whether a is from before b, of the same pod. A resource version is a number that
// grows (the API's own rule since 1.35, etcd's always).
func older(a, b *record) bool {
	x, err1 := strconv.ParseUint(a.Metadata.ResourceVersion, 10, 64)
	y, err2 := strconv.ParseUint(b.Metadata.ResourceVersion, 10, 64)
	return err1 == nil && err2 == nil && x < y
}

// What follows is the reflector's store.

// Add implements cache.ReflectorStore.
func (w *watch) Add(obj any) error { return w.Update(obj) }

// Update implements cache.ReflectorStore.
func (w *watch) Update(obj any) error {
	p, err := readAny(obj)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.unlock()
	w.breaks(nil)
	if old := w.all[p.Metadata.Name]; old == nil || !older(p, old) {
		w.put(p)
	}
	return nil
}

// Delete implements cache.ReflectorStore.
func (w *watch) Delete(obj any) error {
	p, err := readAny(obj)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.unlock()
	w.breaks(nil)
	if old := w.all[p.Metadata.Name]; old != nil && old.Metadata.UID == p.Metadata.UID {
		w.put(p) // how it was in the end
		w.drop(p.Metadata.Name)
	} else {
		w.learn(p)
	}
	return nil
}

// Replace implements cache.ReflectorStore: the whole list, at the beginning and when the history
// that the API server keeps was too short.
func (w *watch) Replace(list []any, version string) error {
	all := make([]*record, 0, len(list))
	for _, obj := range list {
		r, err := readAny(obj)
		if err != nil { // one that cannot be read must not hide all others
			w.c.log.Warn("an object of the cluster is left out", "error", err)
			continue
		}
		all = append(all, r)
	}
	w.mu.Lock()
	defer w.unlock()
	w.breaks(nil)
	was := w.all
	w.all = make(map[string]*record, len(all))
	for _, r := range all {
		w.put(r)
		w.date(r, was[r.Metadata.Name])
	}
	var at record
	at.Metadata.ResourceVersion = version
	for name, r := range was { // what happened while nobody watched
		now := w.all[name]
		switch {
		case older(&at, r):
			// a call told it since the list was made; what comes of it the watch tells
			w.all[name] = r
		case now == nil || now.Metadata.UID != r.Metadata.UID:
			w.mourn(r)
		}
	}
	if len(list) >= longList { // the caller has it still
		if w.spare != nil {
			w.spare.Stop()
		}
		w.spare = time.AfterFunc(time.Second, debug.FreeOSMemory)
	}
	select {
	case <-w.synced:
	default:
		close(w.synced)
	}
	return nil
}

// Transformer implements cache.TransformingStore: what the API server sends at the beginning is
// kept for a moment before it comes to us.
func (w *watch) Transformer() cache.TransformFunc { return slim }

// Resync implements cache.ReflectorStore.
func (w *watch) Resync() error { return nil }

func readAny(obj any) (*record, error) {
	if d, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = d.Obj
	}
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("the API server sent %T", obj)
	}
	return readPod(u)
}
