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

// watch knows all objects of one kind of the installation in a namespace, from one watch at the API
// server. It starts with the first question, and keeps only the parts of objects that we need.
type watch struct {
	c  *cluster
	of watched

	mu      sync.Mutex
	all     map[string]*record    // by name
	deleted map[string]deletedPod // by name
	ours    map[string]deletion   // the uids of objects that we delete or have deleted
	swept   time.Time             // when old entries of ours were last removed
	synced  chan struct{}         // closed when the first list has come
	broken  error                 // why there is no watch now; nil: it works
	// why watching is forbidden; listing then works, and starts again and again
	denied    error
	since     time.Time              // when this began
	stop      context.CancelFunc     // nil: it was not started
	ended     chan struct{}          // closed when it has ended
	timed     map[string]timing      // how long pods took to start, by source
	informers map[string][]*informer // by the name of their pod
	news      bool                   // there is news, which unlock tells

	silence time.Duration // how long it may be silent
	spare   *time.Timer   // frees the memory of a long list; nil: there was none
}

// longList is the length of a list that needs several times the memory of what is kept. The garbage
// collector would not give that back soon.
const longList = 1000

func newWatch(c *cluster, of watched) *watch {
	return &watch{c: c, of: of, all: map[string]*record{}, deleted: map[string]deletedPod{}, ours: map[string]deletion{}, silence: silence}
}

// begin starts the watch unless it runs.
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
		for ctx.Err() == nil { // the reflector's own Run hides why it failed
			// some failed watches end without an error: their calls note the failure
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

// pause is the backoff between two tries to watch. The library's grows to a minute. So long a
// recovered API server would not be noticed, and a source could not be closed, as some of the
// library's pauses cannot be cut short.
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

// source returns functions that list and watch the installation's objects.
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
					_, _ = trimObject(&list.Items[i]) // it returns no error for these
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

// fail notes an error of the watch; nil: it works again.
func (w *watch) fail(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	w.mu.Lock()
	w.breaks(err)
	w.unlock()
}

// breaks notes why there is no watch now; nil: it works. The caller holds mu.
func (w *watch) breaks(err error) {
	if (err == nil) != (w.broken == nil) {
		w.since, w.news = time.Now(), true
	}
	w.broken = err
}

// unlock unlocks mu, and then tells the news if there is any.
func (w *watch) unlock() {
	news := w.news
	w.news = false
	w.mu.Unlock()
	if news {
		w.c.herald()
	}
}

// silence is how long a watch may tell nothing: API servers send a bookmark each minute. So a dead
// connection is noticed, even with HTTP/1.1.
const silence = 150 * time.Second

// attentive is a watch that ends after too long a silence.
type attentive struct {
	apiwatch.Interface
	out chan apiwatch.Event
	end func()
}

func (a attentive) ResultChan() <-chan apiwatch.Event { return a.out }
func (a attentive) Stop()                             { a.end(); a.Interface.Stop() }

// attend passes on a watch's events until it ends, is stopped, or is silent for too long.
func (w *watch) attend(in apiwatch.Interface) apiwatch.Interface {
	stopped := make(chan struct{})
	a := attentive{in, make(chan apiwatch.Event), sync.OnceFunc(func() { close(stopped) })}
	go func() { // the reflector stops each watch, which ends this
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

// trusted waits until the watch has told everything. Its error says why the state cannot be known
// now.
func (w *watch) trusted(ctx context.Context) error {
	w.begin()
	for {
		if w.c.over.Load() { // the last state may be outdated
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

// list returns the records of all of a source's objects.
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

// get returns what is known of an object. nil: nothing.
func (w *watch) get(name string) *record {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all[name]
}

// sees returns what is known of an object, without waiting. nil: nothing, or the watch is not
// complete at this moment.
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

// works reports whether the watch is complete at this moment. A broken watch whose last state still
// counts does not work.
func (w *watch) works() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken == nil && w.denied == nil
}

// took returns how long a source's pods took to run, as the mean of those that exist; 0: none has
// run. Pods' times are in whole seconds, and it is rounded up.
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

// tookLasts is how long a result of took is reused: it reads all records.
const tookLasts = 10 * time.Second

type timing struct {
	at   time.Time
	took time.Duration
}

// put stores a record, with the times since when we have seen its states.
func (w *watch) put(r *record) {
	w.date(r, w.all[r.Metadata.Name])
	if g := w.deleted[r.Metadata.Name]; g.of != nil && g.of.Metadata.UID == r.Metadata.UID {
		delete(w.deleted, r.Metadata.Name)
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

// date notes by our own clock when we first saw an object's states, as the cluster's clock may
// differ. old is the record before.
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

// drop forgets a record.
func (w *watch) drop(name string) {
	if r := w.all[name]; r != nil {
		w.rememberDeleted(r)
		delete(w.all, name)
	}
}

// note stores the answer of a call, which the watch will tell later.
func (w *watch) note(p *record) {
	w.mu.Lock()
	defer w.unlock()
	if old := w.all[p.Metadata.Name]; old == nil || !older(p, old) {
		w.put(p)
	} else {
		w.date(p, old)
	}
}

// gone notes that a call found no such pod.
func (w *watch) gone(name string) {
	w.mu.Lock()
	defer w.unlock()
	w.drop(name)
}

// older reports whether a is an older state of the same object than b. Resource versions are
// growing numbers, by the API's rule since 1.35 and in etcd always.
func older(a, b *record) bool {
	x, err1 := strconv.ParseUint(a.Metadata.ResourceVersion, 10, 64)
	y, err2 := strconv.ParseUint(b.Metadata.ResourceVersion, 10, 64)
	return err1 == nil && err2 == nil && x < y
}

// The following methods implement the reflector's store.

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
		w.put(p) // its last state
		w.drop(p.Metadata.Name)
	} else {
		w.learn(p)
	}
	return nil
}

// Replace implements cache.ReflectorStore. It gets the whole list at the beginning, and whenever
// the API server's history was too short.
func (w *watch) Replace(list []any, version string) error {
	all := make([]*record, 0, len(list))
	for _, obj := range list {
		r, err := readAny(obj)
		if err != nil { // an unreadable object must not hide all others
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
	for name, r := range was { // these changed while no watch ran
		now := w.all[name]
		switch {
		case older(&at, r):
			// a call told it after the list was made; the watch will tell the rest
			w.all[name] = r
		case now == nil || now.Metadata.UID != r.Metadata.UID:
			w.rememberDeleted(r)
		}
	}
	if len(list) >= longList { // the caller still holds the list
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

// Transformer implements cache.TransformingStore: the first objects are held for a moment before
// they come to us.
func (w *watch) Transformer() cache.TransformFunc { return trimObject }

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
