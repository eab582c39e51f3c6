package kubernetes

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/hostler-project/hostler/provider/kubernetes/kubeconfig"
)

// TestHeard: that a call succeeded says that the API server answers. That the streams of a command
// came to their end does not: they do so, too, where an API server goes.
func TestHeard(t *testing.T) {
	goes := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"v5.channel.k8s.io"}})
		if err != nil {
			t.Error(err)
			return
		}
		_ = c.Close(websocket.StatusNormalClosure, "")
	}))
	defer goes.Close()
	c := &cluster{namespace: "n", client: &kubeconfig.Client{Config: &rest.Config{Host: goes.URL}}}
	c.unheard.Store(true)
	if err := c.container("pod", "main").Start(t.Context(), []string{"true"}, remotecommand.StreamOptions{Stdout: io.Discard}); err != nil {
		t.Fatal(err)
	}
	if !c.unheard.Load() {
		t.Error("the end of streams is taken for an answer")
	}
	if err := c.call(t.Context(), func(context.Context, dynamic.Interface) error { return nil }); err != nil || c.unheard.Load() {
		t.Errorf("an answer is not heard (%v)", err)
	}
}
