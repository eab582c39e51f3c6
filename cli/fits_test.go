package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/host/socket"
)

// TestFits: which controllers a command asks that found one by itself.
func TestFits(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"HOSTLER_CONTROLLER", "HOSTLER_CONFIG", "XDG_CONFIG_HOME", "XDG_STATE_HOME"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", dir)
	plain, tree, other := filepath.Join(dir, "plain"), filepath.Join(dir, "tree"), filepath.Join(dir, "other")
	for _, d := range []string{plain, filepath.Join(tree, ".hostler"), other} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	at := func(where, config string) *App {
		a := NewApp(nil, &bytes.Buffer{}, &bytes.Buffer{})
		a.Host.Tree, a.Host.ConfigDir = where, config
		return a
	}
	cfg, err := at(plain, "").Host.Configuration()
	if err != nil {
		t.Fatal(err)
	}
	own := api.Self{Here: true, Own: true, Identity: api.Identity{Configuration: socket.ConfigurationName(cfg)}}
	service := api.Self{Here: true, Own: true, Identity: api.Identity{Configuration: "of its own"}}
	another := api.Self{Here: true}
	for _, test := range []struct {
		name          string
		where, config string
		machine       bool
		self          api.Self
		fits, same    bool
	}{
		{"our own", plain, "", false, own, true, true},
		{"our own, in a tree", tree, "", false, own, false, false},
		{"our own, with another directory", plain, other, false, own, false, false},
		{"our own, with another state", plain, "", false, service, false, false},
		{"the machine's, as its user", plain, "", true, service, true, false},
		{"the machine's, which is ours", plain, "", true, own, true, true},
		{"the machine's, in a tree", tree, "", true, service, false, false},
		{"the machine's, as another", plain, "", true, another, true, false},
		{"the machine's, as another in a tree", tree, "", true, another, false, false},
	} {
		a := at(test.where, test.config)
		a.Machine = test.machine
		fits, err := a.Fits(test.self)
		if err != nil || fits != test.fits || a.Same != test.same {
			t.Errorf("%s: fits %v, the same %v, %v", test.name, fits, a.Same, err)
		}
	}
	a := at(tree, "")
	a.chosen = true
	if fits, err := a.Fits(service); err != nil || !fits {
		t.Errorf("one that was named: %v, %v", fits, err)
	}
}
