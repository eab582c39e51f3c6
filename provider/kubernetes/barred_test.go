package kubernetes

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/hostler-project/hostler/provider/kubernetes/kubeconfig"
)

// TestBarred: where the namespace may not be read, not each new instance asks for it again, and all
// do who have to know.
func TestBarred(t *testing.T) {
	var asked atomic.Int32
	var may atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		if may.Load() {
			_, _ = w.Write([]byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"n","uid":"u-1"}}`))
			return
		}
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
			Reason: metav1.StatusReasonForbidden, Code: http.StatusForbidden,
		})
	}))
	defer server.Close()
	client, err := dynamic.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	s := &kubeconfig.Client{Dynamic: client}
	c := &cluster{namespace: "n", client: s}
	begin := time.Now()
	ask := func(at time.Duration, anew bool, want string, times int32) {
		t.Helper()
		uid, err := c.namespaceUID(t.Context(), begin.Add(at), anew)
		if n := asked.Swap(0); err != nil || uid != want || n != times {
			t.Errorf("after %v it is %q, asked for %d times: %v", at, uid, n, err)
		}
	}
	ask(0, false, kubeconfig.Unknown, 1)
	ask(barredLasts-1, false, kubeconfig.Unknown, 0)
	ask(0, true, kubeconfig.Unknown, 1)
	ask(barredLasts, false, kubeconfig.Unknown, 1)
	c.forget(s) // for another user, who may be allowed to
	c.client = s
	ask(barredLasts, false, kubeconfig.Unknown, 1)
	may.Store(true)
	ask(2*barredLasts-1, false, kubeconfig.Unknown, 0)
	ask(2*barredLasts, false, "u-1", 1)
	ask(0, true, "u-1", 0)
}
