package resource_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/resource"
)

// desk stands for the engine, and for the door to it.
type desk struct {
	mu     sync.Mutex
	leases []compute.Lease
	asked  []compute.Request
	back   []compute.ID
	looks  int
	events int64
	tokens int
}

func (d *desk) Leases(context.Context, inventory.LeaseQuery) ([]compute.Lease, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looks++
	return d.leases, nil
}

// something always has become of leases
func (d *desk) Events(context.Context, inventory.EventQuery) ([]compute.Event, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events++
	return []compute.Event{{ID: d.events, Lease: "l-1"}}, nil
}

func (d *desk) AcquireOnce(ctx context.Context, _ string, req compute.Request) ([]compute.Lease, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, req)
	l := compute.Lease{ID: "l-1", Instance: "web-1", Owner: resource.Owner("team"), Labels: req.Labels, Given: time.Now()}
	d.leases = []compute.Lease{l}
	return d.leases, nil
}

func (d *desk) Release(_ context.Context, _ compute.Who, _ compute.ReleaseOptions, names ...compute.ID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.back, d.leases = append(d.back, names...), nil
	return nil
}

func (d *desk) GiveUp(context.Context, string) error { return nil }

func (d *desk) LeaseToken(context.Context, string, bool) (api.NewToken, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tokens++
	return api.NewToken{Secret: "word"}, nil
}

func (d *desk) Close() error { return nil }

// town is an API server with one object, or none. What a real one cannot be had to do is what this
// is for: to be another cluster, and to be hidden by a gateway.
type town struct {
	*httptest.Server
	mu     sync.Mutex
	object map[string]any
	bare   bool // 404 is a gateway's
	closed int  // so many Secrets are refused
	secret string
	said   []string // statuses that were written
}

func newTown(t *testing.T, object map[string]any) *town {
	w := &town{object: object}
	w.Server = httptest.NewServer(w)
	t.Cleanup(w.Close)
	return w
}

func (w *town) set(object map[string]any, bare bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.object, w.bare = object, bare
}

func (w *town) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	to.Header().Set("Content-Type", "application/json")
	answer := func(v any) { _ = json.NewEncoder(to).Encode(v) }
	items := []any{}
	if w.object != nil {
		items = append(items, w.object)
	}
	body, _ := io.ReadAll(r.Body)
	refuse := func(code int, reason string) {
		to.WriteHeader(code)
		answer(map[string]any{"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "code": code,
			"message": "no: " + reason,
			"details": map[string]any{"name": filepath.Base(r.URL.Path), "group": resource.Group, "kind": "leases"}})
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/secrets") && w.closed > 0:
		w.closed--
		refuse(http.StatusForbidden, "Forbidden")
	case strings.HasSuffix(r.URL.Path, "/secrets"):
		w.secret = string(body)
		answer(map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "x"}})
	case strings.HasSuffix(r.URL.Path, "/status"):
		w.said = append(w.said, string(body))
		answer(w.object)
	case r.URL.Query().Get("watch") != "":
		// It ends at once, and all is listed again.
	case strings.HasSuffix(r.URL.Path, "/leases"):
		answer(map[string]any{
			"apiVersion": resource.Group + "/" + resource.Version, "kind": "LeaseList",
			"metadata": map[string]any{"resourceVersion": "1"}, "items": items,
		})
	case w.object != nil:
		answer(w.object)
	case w.bare:
		to.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprintln(to, "404 page not found")
	default:
		refuse(http.StatusNotFound, "NotFound")
	}
}

// Status implements resource.Reader.
func (d *desk) Status(context.Context) ([]inventory.SourceStatus, error) { return nil, nil }

// run has a desk do what the objects of a town ask for, until end is called.
func (d *desk) run(t *testing.T, w *town) (end func()) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(
		"apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\nusers: [{name: a, user: {}}]\nclusters: [{name: a, cluster: {server: %q}}]\n",
		w.URL,
	)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := resource.New(resource.Options{Kubeconfig: file, Namespaces: map[string]string{"team": ""}, Installation: "me",
		As: func(string, string, string) (resource.Client, error) { return d, nil }, Reader: func() resource.Reader { return d }})
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { defer close(ran); r.Run(ctx) }()
	return func() { cancel(); <-ran }
}

// looked waits until the leases were compared with the objects some times more.
func (d *desk) looked(t *testing.T) {
	t.Helper()
	d.mu.Lock()
	now := d.looks
	d.mu.Unlock()
	computetest.Eventually(t, "all leases are listed twice more", func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.looks < now+2 {
			return fmt.Errorf("%d times", d.looks-now)
		}
		return nil
	})
}

// wish is an object that asks for a lease.
func wish(token bool, labels map[string]any) map[string]any {
	return map[string]any{"apiVersion": resource.Group + "/" + resource.Version, "kind": "Lease",
		"spec": map[string]any{"source": "web", "token": token}, "metadata": map[string]any{
			"name": "one", "namespace": "team", "uid": "u-1", "resourceVersion": "1", "labels": labels,
			"finalizers": []any{resource.Group + "/lease"}}}
}

// TestNoSecret: where no Secret may be made the object says so and names the lease that it has, and
// one token is made, however often that is tried. A label of ours that somebody has put on his own
// object changes nothing.
func TestNoSecret(t *testing.T) {
	t.Parallel()
	w, d := newTown(t, wish(true, map[string]any{resource.Group + "/shown": "true"})), &desk{}
	w.closed = 4
	end := d.run(t, w)
	computetest.Eventually(t, "it is given with its Secret", func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if n := len(w.said); n == 0 || !strings.Contains(w.said[n-1], `"phase":"Leased"`) {
			return fmt.Errorf("%v", w.said)
		}
		return nil
	})
	end()
	if !strings.Contains(w.said[0], "Secret with its token cannot be made: no: Forbidden") ||
		!strings.Contains(w.said[0], `"instance":"web-1"`) {
		t.Errorf("it said at first %s", w.said[0])
	}
	if d.tokens != 1 || !strings.Contains(w.secret, `"token":"word"`) {
		t.Errorf("%d tokens were made, and the Secret is %s", d.tokens, w.secret)
	}
}

// TestElsewhere: an object that another cluster does not have, or that a gateway knows nothing of,
// is not gone, and its lease stays; and one that is gone where it was is, and its lease is given
// back.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	first, d := newTown(t, wish(false, nil)), &desk{}
	end := d.run(t, first)
	computetest.Eventually(t, "it is asked for", func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.leases) == 0 {
			return fmt.Errorf("%+v", d.asked)
		}
		return nil
	})
	end()
	lives := func(what string) {
		t.Helper()
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.back) > 0 {
			t.Fatalf("%s: given back was %v", what, d.back)
		}
	}
	end = d.run(t, newTown(t, nil))
	d.looked(t)
	end()
	lives("another cluster")
	first.set(nil, true)
	end = d.run(t, first)
	defer func() { end() }()
	d.looked(t)
	lives("a gateway's word")
	first.set(nil, false)
	computetest.Eventually(t, "it is given back when the API server says that its object is gone", func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.back) == 0 {
			return fmt.Errorf("%+v", d.leases)
		}
		return nil
	})
}
