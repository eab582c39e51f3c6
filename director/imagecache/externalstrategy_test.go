package imagecache_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
)

func small() *metal.Fleet {
	return &metal.Fleet{Flavors: []string{"io"},
		Images: []metal.Image{{ID: "u1", Name: "ubuntu"}, {ID: "c1", Name: "coreos", Created: time.Unix(1e9, 0)}},
		Nodes: []metal.Node{
			{ID: "a", Flavor: "io"}, {ID: "b", Flavor: "io", Cached: true, Image: "u1"}, {ID: "c", Flavor: "io"},
			{ID: "d", Flavor: "io", Provisioned: true},
		}}
}

func program(t *testing.T, text string) *strategy.External {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hostler-strategy-test")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return &strategy.External{Path: path}
}

// TestExample asks the program of docs/examples.
func TestExample(t *testing.T) {
	if err := exec.CommandContext(t.Context(), "python3", "-c", "").Run(); err != nil {
		t.Skipf("exec: python3 is not here: %v", err)
	}
	o := &strategy.External{
		Path: "../../docs/examples/hostler-strategy-newest", Case: strategy.Proportional{Share: 1},
		Settings: map[string]string{"spare": "1"},
	}
	got, err := o.Plan(t.Context(), small())
	want := metal.Plan{Eject: []string{"b"}, Cache: map[string][]metal.Write{"io": {{Node: "a", Image: "c1"}}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got = %+v, err = %v; want no error and got == want", got, err)
	}
	o.Settings["spare"] = "many"
	if _, err := o.Plan(t.Context(), small()); !errors.Is(err, compute.ErrFailed) ||
		!strings.Contains(err.Error(), "it said: cannot decide: ValueError") {
		t.Error(err)
	}
}

func TestOutsideFails(t *testing.T) {
	for _, c := range []struct {
		name, text string
		kind       error
		says       string
	}{
		{"status", "echo first; echo no luck >&2; exit 4", compute.ErrFailed, "it ended with exit status 4: it said: no luck"},
		{"killed", "kill -9 $$", compute.ErrFailed, "signal: killed"},
		{"nothing", "true", compute.ErrFailed, "its answer: it is empty"},
		{"no JSON", "echo yes; echo 'as I\tmeant' >&2", compute.ErrFailed, "it said: as I meant"},
		{"another form", `echo '{"eject": [], "cash": {}}'`, compute.ErrFailed, `unknown field "cash"`},
		{"half of it", `echo '{"eject": []}'`, compute.ErrFailed, "it lacks eject or cache"},
		{"two answers", `echo '{"eject": [], "cache": {}}{}'`, compute.ErrFailed, "something comes after"},
		{"nobody's node", `echo '{"eject": ["x"], "cache": {}}'`, compute.ErrFailed, `eject: node "x" is not there`},
		{"a free one", `echo '{"eject": ["a"], "cache": {}}'`, compute.ErrFailed, `eject: node "a" has no image`},
		{"another's", `echo '{"eject": ["d"], "cache": {}}'`, compute.ErrFailed, `eject: node "d" is not to be had`},
		{"twice", `echo '{"eject": [], "cache": {"io": [["a", "u1"], ["a", "c1"]]}}'`, compute.ErrFailed, `node "a" is named twice`},
		{"ejected and cached", `echo '{"eject": ["b"], "cache": {"io": [["b", "u1"]]}}'`, compute.ErrFailed, `node "b" is named twice`},
		{"cached already", `echo '{"eject": [], "cache": {"io": [["b", "u1"]]}}'`, compute.ErrFailed, `node "b" has an image already`},
		{"no such image", `echo '{"eject": [], "cache": {"io": [["a", "old"]]}}'`, compute.ErrFailed, `image "old" is not there`},
		{"no such flavor", `echo '{"eject": [], "cache": {"iq": [["a", "u1"]]}}'`, compute.ErrFailed, `flavor "iq": it is not there`},
		{"no pair", `echo '{"eject": [], "cache": {"io": [["a"]]}}'`, compute.ErrFailed, `not a node and an image`},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan, err := program(t, "cat >/dev/null\n"+c.text).Plan(t.Context(), small())
			if !errors.Is(err, c.kind) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("err = %v; want error c.kind and fmt.Sprint(err) with c.says", err)
			}
			if len(plan.Eject)+len(plan.Cache) > 0 {
				t.Errorf("and a plan: %+v", plan)
			}
		})
	}
	if _, err := (&strategy.External{Path: "/nowhere/strategy"}).Plan(t.Context(), small()); !errors.Is(err, compute.ErrInvalid) {
		t.Error(err)
	}
	if _, err := strategy.FindExternal("../x"); !errors.Is(err, compute.ErrInvalid) {
		t.Error(err)
	}
}

// TestOutsideIsBounded ends one that says too much, and one that says nothing, with what they have
// started.
func TestOutsideIsBounded(t *testing.T) {
	o := program(t, "yes")
	o.Most = 10_000
	if _, err := o.Plan(t.Context(), small()); !errors.Is(err, compute.ErrFailed) ||
		!strings.Contains(fmt.Sprint(err), "longer than 10000 bytes") {
		t.Error(err)
	}
	o = program(t, "echo still thinking >&2; sleep 3987")
	o.Timeout = 300 * time.Millisecond
	if _, err := o.Plan(t.Context(), small()); !errors.Is(err, compute.ErrTimeout) {
		t.Error(err)
	}
	// It need not read what it is told, however long that is.
	f := small()
	for i := range 20_000 {
		f.Nodes = append(f.Nodes, metal.Node{ID: fmt.Sprint("n", i), Flavor: "io"})
	}
	if plan, err := program(t, `echo '{"eject": ["b"], "cache": {}}'`).Plan(t.Context(), f); err != nil || len(plan.Eject) != 1 {
		t.Errorf("plan.Eject = %v, err = %v; want no error and len(plan.Eject) == 1", plan.Eject, err)
	}
}
