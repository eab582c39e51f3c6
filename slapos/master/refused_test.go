package master_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/proto"
)

// A request that is refused changes nothing of what has its place: neither the host of a shared
// instance, nor its parameters, nor what its host is told, nor an own instance.
func TestRefusedChangesNothing(t *testing.T) {
	r := newRig(t, master.Options{Computer: "C"})
	r.format("C", 2)
	r.ask(proto.Request{Title: "own", Parameters: proto.Dictionary{"k": "v"}})
	kept := proto.Request{Title: "s", Shared: true, Parameters: proto.Dictionary{"k": "v"}}
	r.ask(kept)
	all := func() string {
		c, err := r.Computers.Computer(t.Context(), access.Anybody, "C")
		if err != nil {
			t.Fatal(err)
		}
		trees, err := r.Instances.Trees(t.Context(), access.Anybody, true)
		if err != nil {
			t.Fatal(err)
		}
		said, err := json.Marshal([]any{c, trees})
		if err != nil {
			t.Fatal(err)
		}
		return string(said)
	}
	before := all()
	none := func(release, on, kind string) string {
		return "No partition corresponding to slave request: ['" + release + "', '" + on + "', '" + kind + "'] (no instance of " + release + " of type " + kind + " on " + on + " can have it; it stays as it was, with C-p0)"
	}
	q := func(change func(*proto.Request)) proto.Request {
		q := kept
		q.Parameters = proto.Dictionary{"k": "w"}
		change(&q)
		return q
	}
	for what, try := range map[string]struct {
		proto.Request
		says string
	}{
		"no such host": {q(func(q *proto.Request) { q.Filter = proto.Dictionary{"instance_guid": "none"} }), none(demo, "C", "default")},
		"and elsewhere": {
			q(func(q *proto.Request) { q.Filter = proto.Dictionary{"instance_guid": "none", "computer_guid": "D"} }),
			none(demo, "D", "default"),
		},
		"no such release": {q(func(q *proto.Request) { q.Release = "none" }), none("none", "C", "default")},
		"no such type":    {q(func(q *proto.Request) { q.Type = "none" }), none(demo, "C", "none")},
		"with a state":    {q(func(q *proto.Request) { q.Type, q.State = "none", proto.Stopped }), none(demo, "C", "none")},
		"what is too large": {
			proto.Request{Title: "own", Release: demo, Parameters: proto.Dictionary{"k": strings.Repeat("x", 5<<20)}}, "",
		},
	} {
		if try.says != "" {
			r.refused(try.Request, compute.ErrNoCapacity, try.says)
		} else if _, err := r.Requests.Request(t.Context(), access.Anybody, &try.Request); err == nil {
			t.Errorf("%s is not refused", what)
		}
		if after := all(); after != before {
			t.Errorf("%s: it was\n%s\nand is\n%s", what, before, after)
		}
	}
	r.ask(kept)
	if after := all(); after != before {
		t.Errorf("asked for as it is: it was\n%s\nand is\n%s", before, after)
	}
}
