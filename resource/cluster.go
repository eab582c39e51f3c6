package resource

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/hostler-project/hostler/compute"
)

// cluster is the API server.
type cluster struct {
	kubeconfig, context string

	mu     sync.Mutex
	client dynamic.Interface // nil: not made yet
	mark   string            // of the cluster that it leads to
}

// ask returns the client, made of the configuration at the first call.
func (c *cluster) ask() (dynamic.Interface, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		return c.client, nil
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.context}).ClientConfig()
	if err == nil {
		config.QPS, config.Burst = -1, 0 // the API server's own fairness bounds us, and what is said of a queue is written seldom
		config.UserAgent = "hostler"
		c.client, err = dynamic.NewForConfig(config)
		c.mark = markOf(config)
	}
	if err != nil {
		return nil, &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("the kubeconfig: %w", err), Hint: "set kubeconfig and context of [resources] in hostler.conf"}
	}
	return c.client, nil
}

// markOf tells clusters apart: by the address of the API server, and the certificates that it is known by.
func markOf(config *rest.Config) string {
	known := rest.CopyConfig(config)
	_ = rest.LoadTLSFiles(known) // without them nobody gets to the server either
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s", known.Host, known.CAData))
	return hex.EncodeToString(sum[:8])
}

// leads is the mark of the cluster that the configuration leads to, as it was read last; "": it was not.
func (c *cluster) leads() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mark
}

// absent reports whether an API server says that there is no object of a name. A gateway before it says 404 too, and so does one that does not serve the kind.
func absent(err error, name string) bool {
	var said apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &said) {
		return false
	}
	d := said.Status().Details
	return d != nil && d.Name == name && !slices.ContainsFunc(d.Causes, func(c metav1.StatusCause) bool { return c.Type == metav1.CauseTypeUnexpectedServerResponse })
}

// call does one thing at the API server. Where that knows us no more, the configuration is read again, once: somebody may have put a new token there.
func (c *cluster) call(ctx context.Context, do func(context.Context, dynamic.Interface) error) error {
	for again := false; ; again = true {
		client, err := c.ask()
		if err == nil {
			err = do(ctx, client)
		}
		if !apierrors.IsUnauthorized(err) || again {
			return err
		}
		c.mu.Lock()
		if c.client == client {
			c.client = nil
		}
		c.mu.Unlock()
	}
}

// operation is one of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// patch changes an object, or its status, and returns it as it is then.
func (c *cluster) patch(ctx context.Context, gvr schema.GroupVersionResource, namespace, name string, change []operation, sub ...string) (out *unstructured.Unstructured, err error) {
	text, err := json.Marshal(change)
	if err != nil {
		return nil, err
	}
	err = c.call(ctx, func(ctx context.Context, d dynamic.Interface) error {
		out, err = d.Resource(gvr).Namespace(namespace).Patch(ctx, name, types.JSONPatchType, text, metav1.PatchOptions{FieldManager: "hostler"}, sub...)
		return err
	})
	return out, err
}

// watch knows all objects of a kind, by one watch; in one namespace, or with "" in all.
type watch[S, T any] struct {
	c         *cluster
	gvr       schema.GroupVersionResource
	namespace string
	ring      func(o *object[S, T]) // an object has changed, or is gone
	told      func(err error)       // the watch does not work, or with nil does again

	mu     sync.Mutex
	all    map[types.NamespacedName]*object[S, T]
	synced chan struct{} // closed when the first list is there
}

func newWatch[S, T any](c *cluster, gvr schema.GroupVersionResource, namespace string, ring func(*object[S, T]), told func(error)) *watch[S, T] {
	return &watch[S, T]{c: c, gvr: gvr, namespace: namespace, ring: ring, told: told, all: map[types.NamespacedName]*object[S, T]{}, synced: make(chan struct{})}
}

// run watches until ctx ends.
func (w *watch[S, T]) run(ctx context.Context) {
	r := cache.NewReflectorWithOptions(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (out runtime.Object, err error) {
			err = w.c.call(ctx, func(ctx context.Context, d dynamic.Interface) error {
				list, err := d.Resource(w.gvr).Namespace(w.namespace).List(ctx, o)
				out = list
				return err
			})
			return out, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (out apiwatch.Interface, err error) {
			err = w.c.call(ctx, func(ctx context.Context, d dynamic.Interface) error {
				out, err = d.Resource(w.gvr).Namespace(w.namespace).Watch(ctx, o)
				return err
			})
			return out, err
		},
	}, &unstructured.Unstructured{}, w, cache.ReflectorOptions{Name: "hostler/" + w.gvr.Resource, TypeDescription: w.gvr.Resource})
	r.ShouldResync = nil
	for ctx.Err() == nil { // the reflector's own run hides why it failed
		if err := r.ListAndWatchWithContext(ctx); err != nil && !errors.Is(err, context.Canceled) {
			w.told(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// get returns what is known of an object; nil: nothing. It is not to be changed.
func (w *watch[S, T]) get(name types.NamespacedName) *object[S, T] {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all[name]
}

// list returns all objects.
func (w *watch[S, T]) list() []*object[S, T] {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]*object[S, T], 0, len(w.all))
	for _, o := range w.all {
		out = append(out, o)
	}
	return out
}

// write writes an object's status, if it is news.
func (w *watch[S, T]) write(ctx context.Context, o *object[S, T], status T) error {
	if same(o.Status, status) {
		return nil
	}
	u, err := w.c.patch(ctx, w.gvr, o.Namespace, o.Name, []operation{{"test", "/metadata/uid", o.UID}, {"add", "/status", status}}, "status")
	if err == nil {
		w.note(u)
	}
	return err
}

func same(a, b any) bool {
	x, err1 := json.Marshal(a) // times are whole seconds there
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}

func setCondition(all *[]metav1.Condition, generation int64, what string, is metav1.ConditionStatus, reason, text string) {
	*all = slices.Clone(*all)
	meta.SetStatusCondition(all, metav1.Condition{Type: what, Status: is, Reason: reason, Message: shortened(text, 32<<10), ObservedGeneration: generation})
}

// note takes what a call answered: the watch will tell it too, later.
func (w *watch[S, T]) note(u *unstructured.Unstructured) {
	if o, err := read[S, T](u); err == nil {
		w.put(o)
	}
}

// put keeps an object, unless a newer one is known. It reports whether it was news.
func (w *watch[S, T]) put(o *object[S, T]) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := nameOf(o)
	if old := w.all[key]; old != nil && old.UID == o.UID {
		if n, err := resourceversion.CompareResourceVersion(o.ResourceVersion, old.ResourceVersion); err == nil && n <= 0 {
			return false
		}
	}
	w.all[key] = o
	return true
}

// What follows is the reflector's store.

// Add implements cache.ReflectorStore.
func (w *watch[S, T]) Add(obj any) error { return w.Update(obj) }

// Update implements cache.ReflectorStore.
func (w *watch[S, T]) Update(obj any) error {
	o, err := readAny[S, T](obj)
	if err == nil && w.put(o) {
		w.ring(o)
	}
	return err
}

// Delete implements cache.ReflectorStore.
func (w *watch[S, T]) Delete(obj any) error {
	o, err := readAny[S, T](obj)
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

// Replace implements cache.ReflectorStore: the whole list, at the beginning and when the history that the API server keeps was too short.
func (w *watch[S, T]) Replace(list []any, _ string) error {
	all := make(map[types.NamespacedName]*object[S, T], len(list))
	news := make([]*object[S, T], len(list))
	for i, obj := range list {
		o, err := readAny[S, T](obj)
		if err != nil {
			return err
		}
		all[nameOf(o)], news[i] = o, o
	}
	w.mu.Lock()
	for key, o := range w.all {
		if all[key] == nil {
			news = append(news, o) // gone
		}
	}
	w.all = all
	w.mu.Unlock()
	w.told(nil)
	for _, o := range inOrder(news) {
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

func readAny[S, T any](obj any) (*object[S, T], error) {
	if d, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = d.Obj
	}
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("the API server sent %T", obj)
	}
	return read[S, T](u)
}

func read[S, T any](u *unstructured.Unstructured) (*object[S, T], error) {
	o := &object[S, T]{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, o); err != nil {
		return nil, fmt.Errorf("%s %s/%s: %w", u.GetKind(), u.GetNamespace(), u.GetName(), err)
	}
	o.ManagedFields = nil // nobody needs them, and they are most of it
	return o, nil
}
