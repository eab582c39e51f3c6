package kubernetes

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/policy/fetch"
	"github.com/hostler-project/hostler/provider"

	"github.com/hostler-project/hostler/image/registry"
)

// names are what the hosts of registries lead to.
type names map[string]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	a, err := netip.ParseAddr(n[host])
	return []netip.Addr{a}, err
}

// TestJudgedImages has a cluster asked only for images of registries that may be fetched from.
func TestJudgedImages(t *testing.T) {
	allow, err := fetch.Parse([]string{"registry.corp.example:5000"})
	if err != nil {
		t.Fatal(err)
	}
	guard := fetch.New(fetch.Options{Allow: allow, Resolver: names{
		"index.docker.io": "93.184.216.34", "registry.corp.example": "10.0.0.5", "inner.corp.example": "10.0.0.6",
		"odd.example": "169.254.169.254", "localhost": "127.0.0.1",
	}})
	p := opened(t, Options{Kubeconfig: filepath.Join(t.TempDir(), "none"), Image: "10.0.0.7/own",
		Others: &image.Others{Registry: registry.Client{}, Guard: guard, Own: []string{"10.0.0.7/own"}}})
	for ref, denied := range map[string]bool{
		"127.0.0.1:5000/x": true, "localhost:5000/x": true, "[::1]:5000/x": true, "169.254.169.254/x": true, "10.0.0.7/x": true,
		"inner.corp.example/x": true, "odd.example/x": true, "registry.corp.example:5001/x": true, "dir:/etc": true,
		"debian:13": false, "registry.corp.example:5000/x": false, "only.the.cluster:5000/x": false, "10.0.0.7/own": false, "": false,
	} {
		_, err := p.Create(t.Context(), compute.Spec{ID: "web-1", Image: ref})
		if err == nil || errors.Is(err, compute.ErrDenied) != denied {
			t.Errorf("%q: err = %v; want an error and errors.Is(err, compute.ErrDenied) == denied", ref, err)
		}
		if denied && !provider.WasUnasked(err) {
			t.Errorf("%q: the cluster was asked", ref)
		}
	}
}
