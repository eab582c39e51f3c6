package kubernetes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/kubernetes/kubeconfig"
)

// TestFit has a pod be known to be fit where the watch tells so at this moment, and in no other
// case: there is no cluster here that could be asked.
func TestFit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}], ` +
		`clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := open(t.Context(), nil, Options{Kubeconfig: file, Namespace: "ns", Image: "i", Installation: "inst", Source: "web"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s, err := p.c.ask()
	if err != nil {
		t.Fatal(err)
	}
	here := identity{Place: s.Place, uid: kubeconfig.Unknown}
	elsewhere := here
	elsewhere.Server = "https://127.0.0.1:2"
	version := 0
	tell := func(change func(*unstructured.Unstructured)) {
		t.Helper()
		u, err := p.build.manifest(compute.Spec{ID: "web-1"})
		if err != nil {
			t.Fatal(err)
		}
		version++
		u.SetUID("uid")
		u.SetResourceVersion(fmt.Sprint(version))
		u.Object["status"] = map[string]any{
			"phase":             "Running",
			"containerStatuses": []any{map[string]any{"name": "main", "state": map[string]any{"running": map[string]any{}}}},
		}
		change(u)
		if err := p.watch().Update(u); err != nil {
			t.Fatal(err)
		}
	}
	sound := func(*unstructured.Unstructured) {}
	is := func(what string, want bool) {
		t.Helper()
		if got := p.Fit("web-1", here.String()); got != want {
			t.Errorf("%s: known to be fit: %v", what, got)
		}
	}
	tell(sound)
	is("there is no watch", false)
	w := p.watch()
	w.stop, w.synced, w.ended = func() {}, make(chan struct{}), make(chan struct{})
	close(w.ended)
	is("the watch has not told all yet", false)
	close(w.synced)
	is("it runs", true)
	if p.Fit("web-2", here.String()) {
		t.Error("another is known to be fit")
	}
	for _, other := range []string{"", "x", elsewhere.String()} {
		if p.Fit("web-1", other) {
			t.Errorf("what is %q is known to be fit", other)
		}
	}
	w.fail(errors.New("the way is cut"))
	is("the watch is cut", false)
	w.fail(nil)
	is("and there again", true)
	for what, status := range map[string]any{
		"it starts": map[string]any{"phase": "Pending"}, "it has ended": map[string]any{"phase": "Failed"},
		"its container has": map[string]any{
			"phase": "Running",
			"containerStatuses": []any{map[string]any{
				"name": "main", "state": map[string]any{"terminated": map[string]any{"exitCode": int64(1)}},
			}},
		},
	} {
		tell(func(u *unstructured.Unstructured) { u.Object["status"] = status })
		is(what, false)
	}
	tell(func(u *unstructured.Unstructured) { u.SetLabels(nil) })
	is("it is another's", false)
	tell(func(u *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(u.Object, "2026-01-01T00:00:00Z", "metadata", "deletionTimestamp")
	})
	is("it is being deleted", false)
	tell(sound)
	is("it runs again", true)
	w.gone(p.podName("web-1"))
	is("it is gone", false)
	tell(sound)
	p.c.forget(s)
	is("nobody has read where the configuration leads", false)
}
