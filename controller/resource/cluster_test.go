package resource

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/hostler-project/hostler/compute"
)

// TestWrongConfiguration: a configuration of which no client can be made is an error however often
// it is asked for, and is read again each time.
func TestWrongConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	put := func(authority string) {
		t.Helper()
		text := `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}], clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"` + authority + `}}]}`
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(`, certificate-authority-data: bm8gY2VydGlmaWNhdGU=`)
	c := &cluster{kubeconfig: file}
	for n := range 3 {
		err := c.call(t.Context(), func(context.Context, dynamic.Interface) error {
			t.Error("there is a client")
			return nil
		})
		if !errors.Is(err, compute.ErrInvalid) || compute.Hint(err) == "" {
			t.Errorf("question %d: %v", n+1, err)
		}
	}
	put("")
	if client, err := c.ask(); err != nil || client == nil || c.server() == "" {
		t.Errorf("once it is mended: %v, %v", client, err)
	}
}

// TestAnswerOfOneThatIsGone: what a call answers of an object does not take the place of another of
// its name that the watch has told of meanwhile.
func TestAnswerOfOneThatIsGone(t *testing.T) {
	w := newWatch(New(Options{}), "leases", "ns", func(*Lease) {})
	object := func(uid, version string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": Group + "/" + Version, "kind": "Lease",
			"metadata": map[string]any{"namespace": "ns", "name": "a", "uid": uid, "resourceVersion": version},
		}}
	}
	is := func(what, uid, version string) {
		t.Helper()
		for _, o := range w.list() {
			if string(o.UID) == uid && o.ResourceVersion == version {
				return
			}
		}
		t.Errorf("%s: what is known is not %s as of %s", what, uid, version)
	}
	for _, step := range []struct {
		what, uid, version   string
		told                 bool
		wantUID, wantVersion string
	}{
		{"the watch tells of one", "1", "5", true, "1", "5"},
		{"a call answers", "1", "7", false, "1", "7"},
		{"the watch tells of before", "1", "6", true, "1", "7"},
		{"it was made anew", "2", "9", true, "2", "9"},
		{"a call of before answers", "1", "8", false, "2", "9"},
	} {
		if _, err := w.put(object(step.uid, step.version), step.told); err != nil {
			t.Fatal(err)
		}
		is(step.what, step.wantUID, step.wantVersion)
	}
}
