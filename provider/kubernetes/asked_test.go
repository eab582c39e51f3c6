package kubernetes

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/hostler-project/hostler/compute"
)

// TestAsked has a request never make a pod smaller than its template says, and what would have the
// pod begin anew, or hide the user's HOME, not be so.
func TestAsked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pod.yaml")
	text := `{kind: Pod, spec: {restartPolicy: Always, containers: [{name: main, image: i, resources: {requests: ` +
		`{cpu: 2, memory: 16Gi}, limits: {cpu: 8, memory: 16Gi}}}]}}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o    Options
		spec compute.Spec
		want string // cpu and memory, of requests and limits
	}{
		{Options{}, compute.Spec{Cores: 1, Memory: 1 << 30}, "2 8 16Gi 16Gi"},
		{Options{}, compute.Spec{Cores: 4, Memory: 32 << 30}, "4000m 8 34359738368 34359738368"},
		{Options{Cores: 1}, compute.Spec{Memory: 1 << 30}, "1000m 1000m 16Gi 16Gi"},
	} {
		c.o.Template, c.o.Env = file, []string{"HOME=/work"}
		u, err := opened(t, c.o).build.manifest(c.spec)
		if err != nil {
			t.Fatal(err)
		}
		r := "spec/containers/0/resources/"
		got := fmt.Sprint(
			at(t, u.Object, r+"requests/cpu"), " ", at(t, u.Object, r+"limits/cpu"), " ",
			at(t, u.Object, r+"requests/memory"), " ", at(t, u.Object, r+"limits/memory"),
		)
		if got != c.want {
			t.Errorf("%+v of %v: %s, not %s", c.spec, c.o.Cores, got, c.want)
		}
		if at(t, u.Object, "spec/restartPolicy") != "Never" ||
			at(t, u.Object, "spec/containers/0/env/0/value") != "/work" || at(t, u.Object, "spec/containers/0/env/1") != nil {
			t.Errorf("the pod is %v", u.Object["spec"])
		}
	}
}

// TestNotInTheAddress has nothing of a command stand in the address of a request, which API
// servers' audit logs and proxies keep.
func TestNotInTheAddress(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, fmt.Sprint(r.URL.Query()["command"]))
		w.WriteHeader(http.StatusForbidden)
	}))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(
		`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}], clusters: `+
			`[{name: c, cluster: {server: %q}}]}`,
		s.URL,
	)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := open(t.Context(), nil, Options{Kubeconfig: file, Namespace: "ns", Image: "i", Installation: "inst", Source: "web"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c := p.entrance.byExec("web-1", p.c.container("pod", "main"), sighted{})
	_, _ = c.Run(t.Context(), &compute.Command{Args: []string{"log-in", "--password=a-secret"}, TTY: &compute.Size{Cols: 80, Rows: 24}})
	_ = c.Close()
	mu.Lock()
	defer mu.Unlock()
	if len(asked) == 0 || strings.Contains(strings.Join(asked, " "), "a-secret") {
		t.Errorf("asked for %q", asked)
	}
}

// TestUnreadable has one object that cannot be read not hide the others.
func TestUnreadable(t *testing.T) {
	w := newWatch(&cluster{log: slog.New(slog.DiscardHandler)}, watched{gvr: pods})
	w.synced = make(chan struct{})
	of := func(name string, phase any) any {
		return &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"name": name}, "status": map[string]any{"phase": phase},
		}}
	}
	if err := w.Replace(
		[]any{of("odd", map[string]any{"is": "no text"}), of("sound", "Running")}, "1",
	); err != nil || w.get("sound") == nil || w.get("odd") != nil {
		t.Errorf("known are %v: %v", w.all, err)
	}
}

// TestSilence has a watch that tells nothing for too long count as broken, and pass on what it
// tells until then.
func TestSilence(t *testing.T) {
	w := newWatch(&cluster{log: slog.New(slog.DiscardHandler)}, watched{gvr: pods})
	w.silence = 20 * time.Millisecond
	in := apiwatch.NewFake()
	out := w.attend(in)
	defer out.Stop()
	go in.Add(&unstructured.Unstructured{})
	if _, ok := <-out.ResultChan(); !ok {
		t.Error("it tells nothing")
	}
	if _, ok := <-out.ResultChan(); ok {
		t.Error("it goes on")
	}
	if w.mu.Lock(); !errors.Is(w.broken, compute.ErrUnavailable) {
		t.Errorf("the watch is %v", w.broken)
	}
	w.mu.Unlock()
	if !in.IsStopped() {
		t.Error("what is silent was not ended")
	}
}

// TestClosed has a provider that was closed say so, and not begin a watch that nobody ends, nor
// tell what was so before as the truth.
func TestClosed(t *testing.T) {
	p, err := open(t.Context(), nil, Options{Kubeconfig: "/nowhere", Namespace: "ns", Image: "i", Installation: "inst", Source: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	_, listed := p.List(t.Context())
	_, overseen := p.WatchHealth(t.Context())
	for _, err := range []error{listed, overseen, p.Check(t.Context(), "web-1"), p.watch().trusted(t.Context())} {
		if !errors.Is(err, compute.ErrConflict) || p.watch().begun() {
			t.Errorf("used after its Close: %v", err)
		}
	}
}
