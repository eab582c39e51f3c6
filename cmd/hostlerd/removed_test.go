package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/api"
)

// TestRemovedSources: a controller discards what stands ready of a source whose file is taken away,
// or which is pruned; what somebody has stays until he gives it back.
func TestRemovedSources(t *testing.T) {
	o := newYard(
		t,
		map[string]string{"sources/web/source.conf": "type = fake\nspare = 2\n", "sources/stays/source.conf": "type = fake\nspare = 1\n"},
	)
	set := filepath.Join(o.Dir, "set", "sources", "api")
	if err := errors.Join(
		os.MkdirAll(set, 0o700),
		os.WriteFile(filepath.Join(set, "source.conf"), []byte("type = fake\nspare = 1\n"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	o.Serve()
	o.run("apply", "-f", "set", "-l", "app=ci")
	has := func(name string, ready, leased int) {
		t.Helper()
		until(t, name, func() bool {
			var all []api.Source
			text := o.run("status", "--json", "-q")
			if err := json.Unmarshal([]byte(text), &struct{ Sources *[]api.Source }{&all}); err != nil {
				t.Fatalf("%v: text = %s; want no error", err, text)
			}
			for _, s := range all {
				if s.Name == name {
					return s.States.Ready == ready && s.States.Leased == leased && s.States == api.States{Ready: ready,
						Leased: leased}
				}
			}
			return ready+leased == 0
		})
	}
	o.run("acquire", "-s", "web", "--name", "mine")
	has("web", 2, 1)
	has("api", 1, 0)
	has("stays", 1, 0)
	if err := errors.Join(os.RemoveAll(filepath.Join(o.Dir, ".config/hostler/sources/web")), os.RemoveAll(set)); err != nil {
		t.Fatal(err)
	}
	o.run("reload")
	has("web", 0, 1)
	o.run("apply", "-f", "set", "-l", "app=ci", "--prune")
	has("api", 0, 0)
	o.run("run", "mine", "--", "true")
	o.run("release", "mine")
	has("web", 0, 0)
	has("stays", 1, 0)
}
