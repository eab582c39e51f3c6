package resource

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// hall is an API server in a bubble of time, with the Leases of one namespace, that can be away: a
// real one's time cannot be had to fly.
type hall struct {
	dynamic.NamespaceableResourceInterface // what nobody asks for

	mu      sync.Mutex
	version int
	objects map[string]*unstructured.Unstructured
	watches map[chan apiwatch.Event]bool
	away    string        // how: "refused", "hangs"; "": it is not
	back    chan struct{} // closed when it is back
	late    time.Duration // watches tell of a change so long after it
}

func (h *hall) Resource(schema.GroupVersionResource) dynamic.NamespaceableResourceInterface { return h }
func (h *hall) Namespace(string) dynamic.ResourceInterface                                  { return h }

// lock begins a call.
func (h *hall) lock(ctx context.Context) error {
	h.mu.Lock()
	for h.away == "hangs" {
		back := h.back
		h.mu.Unlock()
		select {
		case <-back:
		case <-ctx.Done():
			return &url.Error{Op: "Get", URL: "https://k", Err: ctx.Err()}
		}
		h.mu.Lock()
	}
	if h.away != "" {
		h.mu.Unlock()
		return &url.Error{Op: "Get", URL: "https://k", Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}
	}
	return nil
}

func (h *hall) goes(how string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away, h.back = how, make(chan struct{})
	for w := range h.watches {
		close(w)
	}
	clear(h.watches)
}

func (h *hall) returns() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = ""
	close(h.back)
}

// put keeps an object as the newest. mu is held.
func (h *hall) put(kind apiwatch.EventType, o *unstructured.Unstructured) *unstructured.Unstructured {
	h.version++
	o.SetResourceVersion(strconv.Itoa(h.version))
	if h.objects[o.GetName()] = o; kind == apiwatch.Deleted {
		delete(h.objects, o.GetName())
	}
	change := apiwatch.Event{Type: kind, Object: o.DeepCopy()}
	if h.late > 0 {
		time.AfterFunc(h.late, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.tell(change)
		})
	} else {
		h.tell(change)
	}
	return o.DeepCopy()
}

// tell has all watches tell of a change. mu is held.
func (h *hall) tell(change apiwatch.Event) {
	for w := range h.watches {
		w <- change
	}
}

func (h *hall) List(ctx context.Context, _ metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	if err := h.lock(ctx); err != nil {
		return nil, err
	}
	defer h.mu.Unlock()
	out := &unstructured.UnstructuredList{}
	out.SetResourceVersion(strconv.Itoa(h.version))
	for _, o := range h.objects {
		out.Items = append(out.Items, *o.DeepCopy())
	}
	return out, nil
}

type listened struct {
	h *hall
	c chan apiwatch.Event
}

func (l *listened) ResultChan() <-chan apiwatch.Event { return l.c }
func (l *listened) Stop() {
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	if l.h.watches[l.c] {
		delete(l.h.watches, l.c)
		close(l.c)
	}
}

func (h *hall) Watch(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
	if err := h.lock(ctx); err != nil {
		return nil, err
	}
	defer h.mu.Unlock()
	if o.SendInitialEvents != nil {
		return nil, apierrors.NewInvalid(schema.GroupKind{}, "", nil)
	}
	// no history: as an API server that was started anew
	if o.ResourceVersion != strconv.Itoa(h.version) {
		return nil, apierrors.NewResourceExpired("too old")
	}
	l := &listened{h, make(chan apiwatch.Event, 1000)}
	h.watches[l.c] = true
	return l, nil
}

func (h *hall) Create(
	ctx context.Context, o *unstructured.Unstructured, _ metav1.CreateOptions, _ ...string,
) (*unstructured.Unstructured, error) {
	if err := h.lock(ctx); err != nil {
		return nil, err
	}
	defer h.mu.Unlock()
	if h.objects[o.GetName()] != nil {
		return nil, apierrors.NewAlreadyExists(schema.GroupResource{}, o.GetName())
	}
	o = o.DeepCopy()
	o.SetNamespace("team")
	o.SetUID(types.UID("u-" + o.GetName()))
	o.SetCreationTimestamp(metav1.Now())
	return h.put(apiwatch.Added, o), nil
}

func (h *hall) Delete(ctx context.Context, name string, _ metav1.DeleteOptions, _ ...string) error {
	if err := h.lock(ctx); err != nil {
		return err
	}
	defer h.mu.Unlock()
	o := h.objects[name]
	if o == nil {
		return apierrors.NewNotFound(schema.GroupResource{}, name)
	}
	if len(o.GetFinalizers()) > 0 {
		now := metav1.Now()
		o.SetDeletionTimestamp(&now)
		h.put(apiwatch.Modified, o)
		return nil
	}
	h.put(apiwatch.Deleted, o)
	return nil
}

func (h *hall) Patch(
	ctx context.Context, name string, _ types.PatchType, text []byte, _ metav1.PatchOptions, _ ...string,
) (*unstructured.Unstructured, error) {
	if err := h.lock(ctx); err != nil {
		return nil, err
	}
	defer h.mu.Unlock()
	o := h.objects[name]
	if o == nil {
		return nil, apierrors.NewNotFound(schema.GroupResource{}, name)
	}
	var change []operation
	if err := json.Unmarshal(text, &change); err != nil {
		return nil, err
	}
	o = o.DeepCopy()
	for _, c := range change {
		if c.Op != "test" {
			_ = unstructured.SetNestedField(o.Object, c.Value, strings.Split(strings.TrimPrefix(c.Path, "/"), "/")...)
		}
	}
	if o.GetDeletionTimestamp() != nil && len(o.GetFinalizers()) == 0 {
		return h.put(apiwatch.Deleted, o), nil
	}
	return h.put(apiwatch.Modified, o), nil
}

// told is what the objects tell: the phase by name.
func (h *hall) told() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(h.objects)) {
		phase, _, _ := unstructured.NestedString(h.objects[name].Object, "status", "phase")
		out = append(out, name+" "+phase)
	}
	return strings.Join(out, ", ")
}

// ledger stands for the engine, and for the door to it.
type ledger struct {
	mu     sync.Mutex
	leases map[string]compute.Lease // by instance
	lists  int                      // of all of an owner's
	last   int64
}

func (d *ledger) set(instance, owner string, labels map[string]string) compute.Lease {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := compute.Lease{ID: "l-" + instance, Instance: compute.ID(instance), Source: "web", Owner: owner, Labels: labels, Given: time.Now()}
	d.leases[instance] = l
	d.last++
	return l
}

func (d *ledger) end(instance string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.leases, instance)
	d.last++
}

func (d *ledger) Leases(_ context.Context, q inventory.LeaseQuery) (out []compute.Lease, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if q.Instance == "" && q.Owner != "" {
		d.lists++
	}
	for _, l := range d.leases {
		if !q.Ended && (q.Instance == "" || l.Instance == q.Instance) && (q.Owner == "" || q.Owner == l.Owner) {
			out = append(out, l)
		}
	}
	return out, nil
}

func (d *ledger) Events(context.Context, inventory.EventQuery) ([]compute.Event, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return []compute.Event{{ID: d.last}}, nil
}

func (d *ledger) Status(context.Context) ([]inventory.SourceStatus, error) { return nil, nil }

func (d *ledger) AcquireOnce(ctx context.Context, key string, req compute.Request) ([]compute.Lease, error) {
	if req.Source == "none" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return []compute.Lease{d.set("for-"+key, Owner("team"), req.Labels)}, nil
}

func (d *ledger) GiveUp(context.Context, string) error { return nil }
func (d *ledger) Close() error                         { return nil }

func (d *ledger) Release(_ context.Context, _ compute.Who, _ compute.ReleaseOptions, names ...compute.ID) error {
	for _, id := range names {
		d.end(strings.TrimPrefix(string(id), "l-"))
	}
	return nil
}

func (d *ledger) LeaseToken(context.Context, string, bool) (api.NewToken, error) {
	return api.NewToken{Secret: "word"}, nil
}

// inHall runs a Reconciler in a bubble of time.
func inHall(t *testing.T, do func(t *testing.T, h *hall, d *ledger)) {
	synctest.Test(t, func(t *testing.T) {
		h, d := &hall{
			objects: map[string]*unstructured.Unstructured{}, watches: map[chan apiwatch.Event]bool{},
		}, &ledger{leases: map[string]compute.Lease{}}
		r := New(Options{Namespaces: map[string]string{"team": ""}, Installation: "me", Show: 100,
			As: func(string, string, string) (Client, error) { return d, nil }, Reader: func() Reader { return d }})
		r.cluster.client, r.cluster.mark = h, "here"
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		go r.Run(ctx)
		do(t, h, d)
	})
}

// wanted makes an object that asks for a lease.
func (h *hall) wanted(t *testing.T, name, source string) {
	t.Helper()
	if _, err := h.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{"apiVersion": Group + "/" + Version, "kind": "Lease",
		"metadata": map[string]any{"name": name}, "spec": map[string]any{"source": source}}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestReturn: whatever became of leases while the API server was away, five seconds after it is
// back all objects tell what is so, and what is asked for then is given.
func TestReturn(t *testing.T) {
	for _, how := range []string{"refused", "hangs"} {
		t.Run(how, func(t *testing.T) {
			inHall(t, func(t *testing.T, h *hall, d *ledger) {
				for n := range 5 {
					d.set(fmt.Sprint("shown-", n), "ann", nil)
				}
				h.wanted(t, "mine", "web")
				h.wanted(t, "unwanted", "web")
				time.Sleep(10 * time.Second)
				want := "mine Leased, shown-0-0 Leased, shown-1-1 Leased, shown-2-2 Leased, shown-3-3 Leased, shown-4-4 Leased, unwanted Leased"
				if got := h.told(); got != want {
					t.Fatalf("before: %s", got)
				}
				if err := h.Delete(t.Context(), "unwanted", metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
				h.goes(how)
				time.Sleep(time.Minute)
				d.end("for-u-mine")
				for n := range 4 {
					d.end(fmt.Sprint("shown-", n))
				}
				d.set("shown-5", "bob", nil)
				time.Sleep(9 * time.Minute)
				h.returns()
				h.wanted(t, "new", "web")
				time.Sleep(5 * time.Second)
				if got, want := h.told(), "mine Ended, new Leased, shown-4-4 Leased, shown-5-5 Leased"; got != want {
					t.Errorf("after 5 s the objects tell\n%s, want\n%s", got, want)
				}
			})
		})
	}
}

// TestLateWatch: an object that shows a lease tells what is so soon after the watch has told of it,
// however late that was.
func TestLateWatch(t *testing.T) {
	inHall(t, func(t *testing.T, h *hall, d *ledger) {
		time.Sleep(time.Second)
		h.late = 5 * time.Second
		d.set("shown-0", "ann", nil)
		time.Sleep(12 * time.Second)
		if got, want := h.told(), "shown-0-0 Leased"; got != want {
			t.Errorf("after 12 s the objects tell %q, want %q", got, want)
		}
	})
}

// TestManyDeparted: many that wait and are deleted at once are found to have nothing by a few lists
// of all leases, and go.
func TestManyDeparted(t *testing.T) {
	inHall(t, func(t *testing.T, h *hall, d *ledger) {
		const many = 100
		for n := range many {
			h.wanted(t, fmt.Sprint("o-", n), "none")
		}
		h.wanted(t, "one", "web")
		time.Sleep(20 * time.Second)
		before := d.lists
		for n := range many {
			if err := h.Delete(t.Context(), fmt.Sprint("o-", n), metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		if got := h.told(); got != "one Leased" {
			t.Errorf("there are %s", got)
		}
		if d.mu.Lock(); d.lists-before > many/20 {
			t.Errorf("%d lists", d.lists-before)
		}
		d.mu.Unlock()
	})
}
