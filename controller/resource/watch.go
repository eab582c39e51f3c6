package resource

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/wait"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
)

// watch holds all objects of a kind in one namespace, or in all for "". It is the store of a
// reflector. client-go's informer would not do: it may replace the result of a call with an older
// event.
type watch[S, T any] struct {
	c         *cluster
	log       *slog.Logger
	gvr       schema.GroupVersionResource
	namespace string
	ring      func(o *object[S, T]) // called when an object has changed or is gone
	fault     string                // the last reported failure

	mu     sync.Mutex
	all    map[types.NamespacedName]*object[S, T]
	synced chan struct{} // closed after the first list
}

func newWatch[S, T any](r *Reconciler, plural, namespace string, ring func(*object[S, T])) *watch[S, T] {
	return &watch[S, T]{
		c: r.cluster, log: r.log, gvr: resourceOf(plural), namespace: namespace, ring: ring,
		all: map[types.NamespacedName]*object[S, T]{}, synced: make(chan struct{}),
	}
}

// run watches until ctx ends.
func (w *watch[S, T]) run(ctx context.Context) {
	r := cache.NewReflectorWithOptions(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (out runtime.Object, err error) {
			err = w.c.call(ctx, func(ctx context.Context, d dynamic.Interface) (err error) {
				out, err = d.Resource(w.gvr).Namespace(w.namespace).List(ctx, o)
				return err
			})
			return out, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (out apiwatch.Interface, err error) {
			err = w.c.call(ctx, func(ctx context.Context, d dynamic.Interface) (err error) {
				out, err = d.Resource(w.gvr).Namespace(w.namespace).Watch(ctx, o)
				return err
			})
			return out, err
		},
	}, &unstructured.Unstructured{}, w, cache.ReflectorOptions{
		Name: "hostler/" + w.gvr.Resource, TypeDescription: w.gvr.Resource, Backoff: &backoff,
	})
	for ctx.Err() == nil { // the reflector's own loop hides errors
		if err := r.ListAndWatchWithContext(ctx); err != nil && !errors.Is(err, context.Canceled) {
			w.noteError(err)
		}
		pause(ctx, time.Second)
	}
}

// backoff is the pause between two attempts to watch. The library's own grows to a minute, which
// would delay objects after the API server is back.
var backoff = wait.Backoff{Duration: 250 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 10, Cap: 2 * time.Second}

// noteError logs once that the watch fails, or with nil that it works again. Only the reflector's
// goroutine calls it.
func (w *watch[S, T]) noteError(err error) {
	text, hint := fmt.Sprint(err), ""
	switch {
	case err == nil:
		text = ""
	case apierrors.IsNotFound(err):
		text, hint = "this cluster has no "+w.gvr.Resource+"."+Group, absentHint
	case apierrors.IsForbidden(err):
		hint = absentHint
	}
	switch {
	case text == w.fault:
	case text == "":
		w.log.Info("custom resources are read again", "what", w.gvr.Resource, "namespace", w.namespace)
	default:
		w.log.Error("custom resources cannot be read", "what", w.gvr.Resource, "namespace", w.namespace, "err", text, "hint", hint)
	}
	w.fault = text
}

// known waits for the first list. It returns false if ctx ends before.
func (w *watch[S, T]) known(ctx context.Context) bool {
	select {
	case <-w.synced:
		return true
	case <-ctx.Done():
		return false
	}
}

// get returns an object as last seen; nil: unknown. It must not be changed.
func (w *watch[S, T]) get(name types.NamespacedName) *object[S, T] {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all[name]
}

// list returns all objects.
func (w *watch[S, T]) list() []*object[S, T] {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Values(w.all))
}

// write writes an object's status, if it differs.
func (w *watch[S, T]) write(ctx context.Context, o *object[S, T], status T) error {
	if same(o.Status, status) {
		return nil
	}
	return w.patch(ctx, o, "status", operation{"add", "/status", status})
}

// same reports whether two statuses are equal to the API server, whose times are whole seconds.
func same(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(x) == string(y)
}

// patch changes an object or a subresource of it, and keeps the result before the watch reports it.
func (w *watch[S, T]) patch(ctx context.Context, o *object[S, T], part string, change ...operation) error {
	text, err := json.Marshal(append([]operation{{"test", "/metadata/uid", o.UID}}, change...))
	if err != nil {
		return err
	}
	var sub []string
	if part != "" {
		sub = []string{part}
	}
	return w.c.one(ctx, func(ctx context.Context, d dynamic.Interface) error {
		u, err := d.Resource(w.gvr).Namespace(o.Namespace).Patch(
			ctx, o.Name, types.JSONPatchType, text, metav1.PatchOptions{FieldManager: "hostler"}, sub...,
		)
		if err == nil {
			_, err = w.put(u, false)
		}
		return err
	})
}

// operation is one operation of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// put keeps an object, and returns it if it is newer than the known one. An object that the watch
// did not report (told is false) is not kept if it is gone or has been replaced.
func (w *watch[S, T]) put(obj any, told bool) (*object[S, T], error) {
	o, err := read[S, T](obj)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.all[nameOf(o)]
	if !told && (old == nil || old.UID != o.UID) {
		return nil, nil
	}
	if old != nil && old.UID == o.UID {
		if n, err := resourceversion.CompareResourceVersion(o.ResourceVersion, old.ResourceVersion); err == nil && n <= 0 {
			return nil, nil
		}
	}
	w.all[nameOf(o)] = o
	return o, nil
}

// The following methods implement the reflector's store.

// Add implements cache.ReflectorStore.
func (w *watch[S, T]) Add(obj any) error { return w.Update(obj) }

// Update implements cache.ReflectorStore.
func (w *watch[S, T]) Update(obj any) error {
	o, err := w.put(obj, true)
	if o != nil {
		w.ring(o)
	}
	return err
}

// Delete implements cache.ReflectorStore.
func (w *watch[S, T]) Delete(obj any) error {
	o, err := read[S, T](obj)
	if err != nil {
		return err
	}
	w.mu.Lock()
	if old := w.all[nameOf(o)]; old != nil && old.UID == o.UID {
		delete(w.all, nameOf(o))
	}
	w.mu.Unlock()
	w.ring(o)
	return nil
}

// Replace implements cache.ReflectorStore. The whole list comes at the beginning, and when the
// watch has fallen too far behind.
func (w *watch[S, T]) Replace(list []any, _ string) error {
	all := make(map[types.NamespacedName]*object[S, T], len(list))
	for _, obj := range list {
		o, err := read[S, T](obj)
		if err != nil {
			return err
		}
		all[nameOf(o)] = o
	}
	w.mu.Lock()
	news := maps.Clone(w.all) // includes the objects that are gone
	maps.Copy(news, all)
	w.all = all
	w.mu.Unlock()
	w.noteError(nil)
	for _, o := range inOrder(slices.Collect(maps.Values(news))) {
		w.ring(o)
	}
	select {
	case <-w.synced:
	default:
		close(w.synced)
	}
	return nil
}

// Resync implements cache.ReflectorStore.
func (w *watch[S, T]) Resync() error { return nil }

// read converts what the API server sends.
func read[S, T any](obj any) (*object[S, T], error) {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("the API server sent %T", obj)
	}
	o := &object[S, T]{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, o); err != nil {
		return nil, fmt.Errorf("%s %s/%s: %w", u.GetKind(), u.GetNamespace(), u.GetName(), err)
	}
	o.ManagedFields = nil // large and not needed
	return o, nil
}

func nameOf[S, T any](o *object[S, T]) types.NamespacedName {
	return types.NamespacedName{Namespace: o.Namespace, Name: o.Name}
}

// inOrder sorts objects by age.
func inOrder[S, T any](some []*object[S, T]) []*object[S, T] {
	slices.SortFunc(some, func(a, b *object[S, T]) int {
		return cmp.Or(
			a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(a.Name, b.Name),
		)
	})
	return some
}
