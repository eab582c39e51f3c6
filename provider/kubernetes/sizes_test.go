package kubernetes

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// sized is a provider of a kind that asks no cluster.
func sized(t *testing.T, o Options) *Provider {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}], ` +
		`clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Kubeconfig, o.Namespace, o.Installation, o.Source = file, "ns", "inst", "web"
	p, err := open(t.Context(), nil, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// TestSizes has what an instance has be told, so that nobody who asks for more is given it.
func TestSizes(t *testing.T) {
	template := filepath.Join(t.TempDir(), "pod.yaml")
	text := "spec: {containers: [{name: main, image: i, resources: {limits: {memory: 3Gi, nvidia.com/gpu: 2}, " +
		"requests: {cpu: 1500m, memory: 1Gi}}}]}"
	if err := os.WriteFile(template, []byte("apiVersion: v1\nkind: Pod\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o    Options
		spec compute.Spec
		want map[string]string
	}{
		"keys": {
			Options{Image: "i", Cores: 0.5, Memory: 4 << 30, Disk: 1 << 30}, compute.Spec{},
			map[string]string{"cores": "0.5", "memory": "4294967296", "disk": "1073741824", "gpus": "0"},
		},
		"a request": {
			Options{Image: "i", Cores: 2}, compute.Spec{Cores: 8, Memory: 1 << 30, GPUs: 1},
			map[string]string{"cores": "8", "memory": "1073741824", "gpus": "1"},
		},
		"a template": {
			Options{Template: template}, compute.Spec{},
			map[string]string{"cores": "1.5", "memory": "3221225472", "gpus": "2"},
		},
		"nothing said": {Options{Image: "i"}, compute.Spec{}, map[string]string{"gpus": "0"}},
		"sandboxes": {
			Options{Image: "i", Kind: "sandbox", Cores: 2}, compute.Spec{Cores: 3},
			map[string]string{"cores": "3", "gpus": "0"},
		},
		"claims": {
			Options{Image: "i", Kind: "claim", Cores: 2}, compute.Spec{Image: "i"},
			map[string]string{"cores": "2", "gpus": "0"},
		},
		"another's pool": {Options{Kind: "claim", WarmPool: "theirs"}, compute.Spec{}, nil},
	} {
		if got := sized(t, c.o).build.sizes(c.spec); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestChoices has requests name an image and a zone, but of claims, which are all alike.
func TestChoices(t *testing.T) {
	for _, c := range []struct {
		kind, of string
		open     bool
	}{
		{"pod", provider.Images, true}, {"sandbox", provider.Locations, true}, {"pod", provider.Flavors, false},
		{"claim", provider.Images, false},
	} {
		if _, open, err := sized(t, Options{Image: "i", Kind: c.kind}).Choices(t.Context(), c.of); open != c.open || open != (err == nil) {
			t.Errorf("%s of kind %s: %v %v", c.of, c.kind, open, err)
		}
	}
}

// TestAlike has a claim be made for a request for its source's image, which the engine names with
// each, and for what all have; and for no other.
func TestAlike(t *testing.T) {
	ours, theirs := sized(t, Options{Image: "i", Kind: "claim", Memory: 1 << 30}), sized(t, Options{Kind: "claim", WarmPool: "theirs"})
	for _, spec := range []compute.Spec{{}, {Image: "i"}, {Image: "i", Memory: 1 << 30}} {
		if err := ours.build.alike(spec); err != nil {
			t.Errorf("%+v: err = %v; want no error", spec, err)
		}
	}
	for _, spec := range []compute.Spec{{Image: "another"}, {Image: "i", Memory: 1<<30 + 1}, {Cores: 1}, {GPUs: 1}, {Location: "zone"}} {
		if err := ours.build.alike(spec); !errors.Is(err, compute.ErrTooLarge) {
			t.Errorf("%+v: err = %v; want error compute.ErrTooLarge", spec, err)
		}
	}
	if err := theirs.build.alike(compute.Spec{Memory: 1}); !errors.Is(err, compute.ErrTooLarge) {
		t.Errorf("of another's pool: %v", err)
	}
}
