package controller

import (
	"testing"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/catalog"
)

// TestKindsSayWhoMay: each kind says whether others than the controller's own user may have its
// instances.
func TestKindsSayWhoMay(t *testing.T) {
	for _, k := range append(host.Kinds(), clouds.Kinds()...) {
		if !k.Pool && k.Others == nil {
			t.Errorf("the kind %q does not say who may have its instances: set Others", k.Name)
		}
	}
}

// TestOwnOnly: instances are for everybody only if their kind says so.
func TestOwnOnly(t *testing.T) {
	cfg := &config.Config{Sources: []*config.Source{{Name: "unsaid", Type: "x", Kind: &catalog.Kind{Name: "x"}}, {Name: "unknown"}}}
	add := func(name, typ, image string, settings map[string]string, sources ...string) {
		all := append(host.Kinds(), clouds.Kinds()...)
		cfg.Sources = append(cfg.Sources, &config.Source{
			Name: name, Type: typ, Kind: all.Kind(typ), Image: image, Settings: settings, Sources: sources,
		})
	}
	add("here", "local", "", nil)
	add("tree", "chroot", "", nil)
	add("far", "ec2", "", nil)
	add("far-too", "ssh", "", nil)
	add("program", "of-mine", "", nil)
	add("root", "sandbox", "", nil)
	add("box", "sandbox", "debian", nil)
	add("pretended", "fake", "", nil)
	add("pretended-here", "fake", "", map[string]string{"run": "exec"})
	add("good", "pool", "", nil, "far", "box")
	add("mixed", "pool", "", nil, "far", "here")
	add("round", "pool", "", nil, "round")
	for _, c := range []struct {
		source, image string
		want          bool
	}{
		{"unsaid", "", true}, {"unknown", "", true}, {"here", "", true}, {"tree", "", true}, {"far", "", false},
		{"far-too", "", false}, {"program", "", false}, {"root", "", true}, {"root", "debian", false}, {"box", "", false},
		{"box", "host", true}, {"box", "dir:/", true}, {"box", "dir:/srv", true}, {"pretended", "", false},
		{"pretended-here", "", true}, {"good", "", false}, {"good", "host", true}, {"mixed", "", true}, {"round", "", false},
	} {
		if got := ownerOnly(cfg, c.source, c.image); got != c.want {
			t.Errorf("ownOnly(%s, %q): got %v, want %v", c.source, c.image, got, c.want)
		}
	}
}
