package kubernetes_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
)

// TestPodLeft has the pod of a sandbox or claim stay, as on a node that does not answer: it is not
// gone before that is, whoever deleted the sandbox.
func TestPodLeft(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sandbox", "claim"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := site(t)
			o.Kind, o.Force = kind, 10*time.Minute
			if kind == "claim" {
				o.WarmPool, o.Image = "warm", ""
				lab.WarmPool(t, o.Namespace, 2)
			}
			p := open(t, o)
			for _, id := range []compute.ID{"suite-1", "suite-2"} {
				_ = ready(t, p, id).Close()
				was, err := p.Identity(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				pod := strings.Fields(was)[4]
				hold := func(by string) {
					lab.Ctl(t, "", "patch", "pod", pod, "-n", o.Namespace, "--type=merge", "-p", `{"metadata":{"finalizers":`+by+`}}`)
				}
				hold(`["example.org/hold"]`)
				if id == "suite-2" { // somebody else deletes it, and its pod goes after it
					object := lab.Ctl(
						t, "", "get", map[string]string{"sandbox": "sandboxes", "claim": "sandboxclaims"}[kind], "-n",
						o.Namespace, "-l", "hostler-project.github.io/installation=test", "-o", "name",
					)
					lab.Ctl(t, "", "delete", "-n", o.Namespace, strings.TrimSpace(object))
				}
				computetest.Eventually(t, "the pod is on its way", func() error {
					if err := p.Destroy(t.Context(), id); err != nil {
						t.Fatalf("while the pod is there: %v", err)
					}
					if lab.Ctl(t, "", "get", "pod", pod, "-n", o.Namespace, "-o", "jsonpath={.metadata.deletionTimestamp}") == "" {
						return errors.New("it is not")
					}
					return nil
				})
				want(
					t, compute.ErrConflict, "the pod "+pod+" has been held",
					func() error { return p.DestroyAfter(t.Context(), id, 5*time.Minute) },
				)
				hold("null")
				gone(t, p, id)
				if left := lab.Ctl(
					t, "", "get", "pod", "-n", o.Namespace, "--field-selector=metadata.name="+pod, "-o", "name",
				); left != "" {
					t.Errorf("it is gone, and there is %s", left)
				}
			}
		})
	}
}

// TestNotFound has a gateway answer that there is nothing, and an API server not know the kind:
// neither proves that a pod is gone.
func TestNotFound(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"a gateway": http.NotFound,
		"an API without the kind": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(
				w,
				`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server could not `+
					`find the requested resource","reason":"NotFound","details":{},"code":404}`,
			)
		},
	} {
		s := httptest.NewServer(answer)
		o := site(t)
		o.Kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
		save(
			t, o.Kubeconfig,
			fmt.Sprintf(
				`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}], `+
					`clusters: [{name: c, cluster: {server: %q}}]}`,
				s.URL,
			),
			0o600,
		)
		if err := open(t, o).Destroy(t.Context(), "suite-1"); !errors.Is(err, compute.ErrUnavailable) {
			t.Errorf("%s says that there is nothing: %v", name, err)
		}
		s.Close()
	}
}
