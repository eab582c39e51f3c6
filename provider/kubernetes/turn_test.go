package kubernetes

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/kubernetes/kubeconfig"
)

// TestTurns: who makes an instance while another waits for an API server that does not answer waits
// no longer than he has time.
func TestTurns(t *testing.T) {
	for name, o := range map[string]Options{
		"network policy": {Image: "i"},
		"warm pool":      {Image: "i", Kind: "claim", Network: "open"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan string, 100)
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				asked <- r.URL.Path
				<-r.Context().Done()
			}))
			defer server.Close()
			client, err := dynamic.NewForConfig(&rest.Config{Host: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			p := opened(t, o)
			p.c.client = &kubeconfig.Client{Dynamic: client}
			create := func(ctx context.Context, id compute.ID) <-chan error {
				done := make(chan error, 1)
				go func() {
					_, err := p.Create(ctx, compute.Spec{ID: id})
					done <- err
				}()
				return done
			}
			long, stop := context.WithCancel(t.Context())
			first := create(long, "web-1")
			select {
			case <-asked:
			case err := <-first:
				t.Fatalf("nothing was asked: %v", err)
			}
			short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			second := create(short, "web-2")
			select {
			case err := <-second:
				if err == nil || len(asked) > 0 {
					t.Errorf("the second has asked for %d: %v", len(asked), err)
				}
			case <-time.After(20 * time.Second):
				t.Error("the second waits for the first")
				defer func() { <-second }()
			}
			stop()
			if err := <-first; err == nil {
				t.Error("the first has one")
			}
		})
	}
}
