package master_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/overview"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

const demo = "https://software.example/demo/software.cfg"

// rig is a master and what a test says to it.
type rig struct {
	*master.Master
	t *testing.T
}

func newRig(t *testing.T, opt master.Options) *rig { return &rig{open(t, opt), t} }

// format gives a computer so many partitions, p0 and on.
func (r *rig) format(guid string, partitions int) {
	r.t.Helper()
	c := &proto.Configuration{Computer: guid}
	for i := range partitions {
		c.Partitions = append(
			c.Partitions,
			proto.ConfiguredPartition{
				ID: fmt.Sprint("p", i), Interface: "tap",
				Addresses: []proto.ConfiguredAddress{{IP: fmt.Sprint("10.0.0.", i), Netmask: "255.255.255.255"}},
			},
		)
	}
	if err := r.Computers.Format(r.t.Context(), access.Anybody, c); err != nil {
		r.t.Fatal(err)
	}
}

// ask requests an instance of demo, and fails the test where that is refused.
func (r *rig) ask(q proto.Request) *master.Answer {
	r.t.Helper()
	if q.Release == "" {
		q.Release = demo
	}
	a, err := r.Requests.Request(r.t.Context(), access.Anybody, &q)
	if err != nil {
		r.t.Fatalf("%s: %v", q.Title, err)
	}
	return a
}

// refused requests what is to be refused so.
func (r *rig) refused(q proto.Request, kind error, says string) {
	r.t.Helper()
	if q.Release == "" {
		q.Release = demo
	}
	a, err := r.Requests.Request(r.t.Context(), access.Anybody, &q)
	refusal, ok := errors.AsType[*access.Refusal](err)
	if !ok || !errors.Is(err, kind) || refusal.Reason() != says {
		r.t.Errorf("%s: %+v, %v; want %q", q.Title, a, err, says)
	}
}

// states are those that the node of a computer is told, by partition.
func (r *rig) states(guid string) map[string]string {
	r.t.Helper()
	c, err := r.Computers.Computer(r.t.Context(), access.Anybody, guid)
	if err != nil {
		r.t.Fatal(err)
	}
	all := map[string]string{}
	for _, p := range c.Partitions {
		if all[p.ID] = p.State; p.Release == "" {
			all[p.ID] = "free"
		}
	}
	return all
}

func (r *rig) are(guid string, want ...string) {
	r.t.Helper()
	got := r.states(guid)
	for i, state := range want {
		if p := fmt.Sprint("p", i); got[p] != state {
			r.t.Errorf("%s is %s, not %s", p, got[p], state)
		}
	}
}

func (r *rig) partition(guid, id string) *proto.Partition {
	r.t.Helper()
	p, err := r.Computers.Partition(r.t.Context(), access.Anybody, guid, id)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// A tree is stopped and started whole, keeps its parameters, and is destroyed from below.
func TestTree(t *testing.T) {
	r := newRig(t, master.Options{Computer: "C"})
	r.format("C", 5)
	r.ask(proto.Request{Title: "root", Parameters: proto.Dictionary{"a": "b"}})
	r.ask(proto.Request{Title: "child", Computer: "C", Partition: "p0"})
	r.ask(proto.Request{Title: "below", Computer: "C", Partition: "p1"})
	r.ask(proto.Request{Title: "idle", Computer: "C", Partition: "p0", State: proto.Stopped})
	r.ask(proto.Request{Title: "frontend", Computer: "C", Partition: "p0", Shared: true})
	r.are("C", "started", "started", "started", "stopped", "free")
	before := r.partition("C", "p2").Timestamp

	a := r.ask(proto.Request{Title: "root", State: proto.Stopped})
	if a.State != proto.Stopped || a.Parameters["a"] != "b" {
		t.Errorf(`a = %+v; want a.State == proto.Stopped and a.Parameters["a"] == "b"`, a)
	}
	r.are("C", "stopped", "stopped", "stopped", "stopped", "free")
	if r.partition("C", "p2").Timestamp == before {
		t.Error("who was stopped with the tree has its old timestamp")
	}
	if a := r.ask(proto.Request{Title: "child", Computer: "C", Partition: "p0", State: proto.Started}); a.State != proto.Stopped {
		t.Errorf("a child of a stopped root is %s", a.State)
	}
	r.ask(proto.Request{Title: "root", State: proto.Started})
	r.are("C", "started", "started", "started", "stopped", "free")

	r.ask(proto.Request{Title: "root", State: proto.Destroyed})
	r.are("C", "stopped", "destroyed", "destroyed", "destroyed", "free")
	if shared := r.partition("C", "p0").Shared; len(shared) != 0 {
		t.Errorf("the shared instance of a destroyed tree is with its host: %v", shared)
	}
	r.refused(
		proto.Request{Title: "late", Computer: "C", Partition: "p0"}, compute.ErrNotFound,
		"The tree of root is being destroyed: it gets no new instance late.",
	)
	if children, err := r.Instances.InstanceDestroyed(t.Context(), access.Anybody, "C", "p0"); err != nil || len(children) != 3 {
		t.Errorf("children = %v, err = %v; want no error and len(children) == 3", children, err)
	}
	waiting := r.partition("C", "p0").Timestamp
	for _, p := range []string{"p1", "p2", "p3"} {
		if children, err := r.Instances.InstanceDestroyed(t.Context(), access.Anybody, "C", p); err != nil || len(children) != 0 {
			t.Errorf("children = %v, err = %v; want no error and len(children) == 0", children, err)
		}
	}
	r.are("C", "destroyed", "free", "free", "free", "free")
	if r.partition("C", "p0").Timestamp == waiting {
		t.Error("the root was not told that it may go")
	}
	if _, err := r.Instances.InstanceDestroyed(t.Context(), access.Anybody, "C", "p0"); err != nil {
		t.Error(err)
	}
	r.are("C", "free", "free", "free", "free", "free")
	if trees, err := r.Instances.Trees(t.Context(), access.Anybody, true); err != nil || len(trees) != 0 {
		t.Errorf("a destroyed tree leaves %v, %v", trees, err)
	}
}

// A shared instance keeps its host, moves when that goes, waits when there is none, and is placed
// when one comes.
func TestSharedMoves(t *testing.T) {
	r := newRig(t, master.Options{Computer: "C"})
	r.format("C", 4)
	r.refused(
		proto.Request{Title: "s", Shared: true}, compute.ErrNoCapacity,
		"No partition corresponding to slave request: ['"+demo+"', 'C', 'default']",
	)
	at := func() string {
		a, err := r.Requests.Request(
			t.Context(), access.Anybody,
			&proto.Request{Release: demo, Title: "s", Shared: true, Parameters: proto.Dictionary{"k": "v"}},
		)
		if err != nil {
			return "nowhere"
		}
		return a.Partition
	}
	if got := at(); got != "nowhere" {
		t.Error(got)
	}
	r.ask(proto.Request{Title: "one"})
	if p := r.partition("C", "p0"); len(p.Shared) != 1 || p.Shared[0].Reference != "_s" || p.Shared[0].Parameters["k"] != "v" {
		t.Errorf("the host that came has %+v", p.Shared)
	}
	r.ask(proto.Request{Title: "two"})
	stamp := r.partition("C", "p1").Timestamp
	if got := at(); got != "p0" {
		t.Errorf("moved to %s", got)
	}
	if _, err := r.Instances.InstanceDestroyed(t.Context(), access.Anybody, "C", "p0"); err != nil {
		t.Fatal(err)
	}
	if p := r.partition("C", "p1"); len(p.Shared) != 1 || p.Timestamp == stamp {
		t.Errorf("the next host has %+v", p)
	}
	r.ask(proto.Request{Title: "first again"})
	if got := at(); got != "p1" {
		t.Errorf("moved to %s though its host is there", got)
	}
	r.ask(proto.Request{Title: "two", Release: "other"})
	if got := at(); got != "p0" {
		t.Errorf("with a host of another release it is at %s", got)
	}
	if err := r.Instances.SetConnection(t.Context(), access.Anybody, "C", "p0", "_s", proto.Dictionary{"url": "u"}); err != nil {
		t.Error(err)
	}
	if a := r.ask(proto.Request{Title: "s", Shared: true, Parameters: proto.Dictionary{"k": "v"}}); a.Connection["url"] != "u" {
		t.Errorf(`a = %+v; want a.Connection["url"] == "u"`, a)
	}
	r.ask(proto.Request{Title: "s", Shared: true, State: proto.Destroyed})
	if p := r.partition("C", "p0"); len(p.Shared) != 0 {
		t.Errorf("destroyed, and there: %+v", p.Shared)
	}
}

// Why there is no place is said and kept, and the next request finds one.
func TestNoPlace(t *testing.T) {
	r := newRig(t, master.Options{Computer: "C"})
	r.refused(proto.Request{Title: "a"}, compute.ErrNoCapacity, "No free computer partition found for: a (there is no computer C)")
	r.format("C", 1)
	r.ask(proto.Request{Title: "a"})
	r.refused(proto.Request{Title: "b"}, compute.ErrNoCapacity,
		"No free computer partition found for: b (all 1 partitions of C are in use)")
	trees, err := r.Instances.Trees(t.Context(), access.Anybody, true)
	if err != nil || len(trees) != 2 || trees[1].Record.Reason != "all 1 partitions of C are in use" {
		t.Errorf(
			"trees = %v, err = %v"+
				`; want no error and len(trees) == 2 and trees[1].Record.Reason == "all 1 partitions of C `+
				`are in use"`,
			trees, err,
		)
	}
	if trees, err := r.Instances.Trees(t.Context(), access.Anybody, false); err != nil || len(trees) != 1 {
		t.Errorf("trees = %v, err = %v; want no error and len(trees) == 1", trees, err)
	}
	r.format("C", 2)
	if a := r.ask(proto.Request{Title: "b"}); a.Partition != "p1" || a.Record.Reason != "" {
		t.Errorf(`a = %+v; want a.Partition == "p1" and a.Record.Reason == ""`, a)
	}
	r.refused(
		proto.Request{Title: "c", Filter: proto.Dictionary{"computer_guid": "D"}}, compute.ErrNoCapacity,
		"No free computer partition found for: c (there is no computer D)",
	)
	if a := r.ask(proto.Request{Title: "c", State: proto.Destroyed}); a.Computer != "" || a.State != proto.Destroyed {
		t.Errorf(`a = %+v; want a.Computer == "" and a.State == proto.Destroyed`, a)
	}
	if trees, err := r.Instances.Trees(t.Context(), access.Anybody, true); err != nil || len(trees) != 2 {
		t.Errorf("what nobody wants is kept: %v, %v", trees, err)
	}
}

// Without a default computer the emptiest that fits is taken, and it is said why others do not.
func TestChoice(t *testing.T) {
	r := newRig(t, master.Options{})
	r.format("A", 1)
	r.format("B", 3)
	var got string
	for i := range 4 {
		got += r.ask(proto.Request{Title: fmt.Sprint(i)}).Computer
	}
	if got != "ABBB" {
		t.Error(got)
	}
	r.refused(
		proto.Request{Title: "x"}, compute.ErrNoCapacity,
		"No free computer partition found for: x (no computer fits: 2 have no free partition, 0 are of other projects or users, 0 of other networks)",
	)
	r.refused(
		proto.Request{Title: "y", Filter: proto.Dictionary{"project_guid": "P"}}, compute.ErrNoCapacity,
		"No free computer partition found for: y (no computer fits: 0 have no free partition, 2 are of other projects or users, 0 of other networks)",
	)
}

// What changes nothing writes nothing.
func TestUnchangedWritesNothing(t *testing.T) {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	m, err := master.New(t.Context(), master.Options{Store: st, Computer: "C"})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{m, t}
	revision := func() (n int64) {
		t.Helper()
		if err := st.View(t.Context(), func(tx store.Tx) (err error) { n, err = tx.SlapRevision(); return err }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	again := func() {
		r.format("C", 2)
		if err := r.Computers.Format(
			t.Context(), access.Anybody,
			&proto.Configuration{Computer: "E", Partitions: []proto.ConfiguredPartition{{ID: "without addresses"}}},
		); err != nil {
			t.Error(err)
		}
		r.ask(proto.Request{Title: "a", Parameters: proto.Dictionary{"x": int64(1)}, Filter: proto.Dictionary{"computer_guid": "C"}})
		r.ask(proto.Request{Title: "s", Shared: true, Parameters: proto.Dictionary{"y": "2"}})
		_, _ = r.Requests.Request(
			t.Context(), access.Anybody,
			&proto.Request{Release: demo, Title: "none", Filter: proto.Dictionary{"computer_guid": "D"}},
		)
		if err := r.Computers.Supply(t.Context(), access.Anybody, "C", demo, proto.Available); err != nil {
			t.Error(err)
		}
		if err := r.Instances.SetConnection(t.Context(), access.Anybody, "C", "p0", "", proto.Dictionary{"url": "u"}); err != nil {
			t.Error(err)
		}
		if err := r.Statuses.InstanceReported(t.Context(), access.Anybody, "C", "p0", proto.Started); err != nil {
			t.Error(err)
		}
	}
	again()
	was := revision()
	_, tag, err := r.Computers.Information(t.Context(), access.Anybody, "C")
	if err != nil {
		t.Fatal(err)
	}
	again()
	if now := revision(); now != was {
		t.Errorf("the same again: revision %d, and %d before", now, was)
	}
	if _, now, err := r.Computers.Information(t.Context(), access.Anybody, "C"); err != nil || now != tag {
		t.Errorf("%s, not %s: %v", now, tag, err)
	}
}

// Many requests at once, by several masters on one store: each title is one instance, each
// partition has one.
func TestManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	var masters []*rig
	for range 3 {
		st, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		m, err := master.New(t.Context(), master.Options{Store: st, Computer: "C"})
		if err != nil {
			t.Fatal(err)
		}
		masters = append(masters, &rig{m, t})
	}
	const partitions, titles = 20, 24
	masters[0].format("C", partitions)
	var mu sync.Mutex
	places := map[string]map[string]bool{} // of titles
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			m := masters[i%len(masters)]
			for k := range titles {
				title := fmt.Sprint("t", (k+i*7)%titles)
				a, err := m.Requests.Request(context.Background(), access.Anybody, &proto.Request{Release: demo, Title: title})
				if err != nil && !errors.Is(err, compute.ErrNoCapacity) {
					t.Error(err)
				}
				if err != nil {
					continue
				}
				mu.Lock()
				if places[title] == nil {
					places[title] = map[string]bool{}
				}
				places[title][a.Partition+" "+a.Record.ID] = true
				mu.Unlock()
				// What one master answered, the others know.
				p, err := masters[(i+1)%len(masters)].Computers.Partition(context.Background(), access.Anybody, "C", a.Partition)
				if err != nil || p.Title != title {
					t.Errorf("%s is in %s, and another master has %+v there, %v", title, a.Partition, p, err)
				}
			}
		})
	}
	all.Wait()
	used := map[string]string{}
	for title, at := range places {
		if len(at) != 1 {
			t.Errorf("%s was in %v", title, at)
		}
		for place := range at {
			if other := used[place]; other != "" {
				t.Errorf("%s and %s are both in %s", title, other, place)
			}
			used[place] = title
		}
	}
	if len(used) != partitions {
		t.Errorf("%d of %d partitions were given", len(used), partitions)
	}
}

// The addresses of a tree are those of all its partitions, whatever has no place in it.
func TestTreeAddresses(t *testing.T) {
	r := newRig(t, master.Options{})
	r.format("C", 2)
	r.ask(proto.Request{Title: "root"})
	if _, err := r.Requests.Request(
		t.Context(), access.Anybody,
		&proto.Request{Title: "nowhere", Release: demo, Computer: "C", Partition: "p0", Filter: proto.Dictionary{"network_guid": "none"}},
	); !errors.Is(err, compute.ErrNoCapacity) {
		t.Fatal(err)
	}
	r.ask(proto.Request{Title: "child", Computer: "C", Partition: "p0"})
	all, err := r.Computers.TreeAddresses(t.Context(), access.Anybody, "C", "p1")
	if err != nil || len(all) != 2 || all[0].IP != "10.0.0.0" || all[1].IP != "10.0.0.1" {
		t.Errorf(
			"all = %+v, err = %v"+
				`; want no error and len(all) == 2 and all[0].IP == "10.0.0.0" and all[1].IP == "10.0.0.1"`,
			all, err,
		)
	}
}

// A root whose partition is no more stays as long as others of its tree have partitions: it can be
// asked for again, or destroyed, and then nothing stays.
func TestRootWithoutPartition(t *testing.T) {
	for _, destroyed := range []bool{false, true} {
		r := newRig(t, master.Options{})
		r.format("A", 1)
		root := r.ask(proto.Request{Title: "root"})
		r.format("C", 2)
		r.ask(proto.Request{Title: "child", Computer: "A", Partition: "p0", Filter: proto.Dictionary{"computer_guid": "C"}})
		r.format("A", 0)
		r.are("C", "started", "free")
		left := func() int {
			t.Helper()
			n, _, err := overview.Instances(t.Context(), r.Master, access.Anybody, overview.InstanceQuery{}, overview.Page{Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			return len(n)
		}
		if n := left(); n != 2 {
			t.Fatalf("%d instances", n)
		}
		v, err := overview.Instance(t.Context(), r.Master, access.Anybody, root.Record.ID)
		if err != nil || v.Record.Reason != "its partition p0 of A is no more" || v.Partition != "" {
			t.Errorf(
				"v = %+v, err = %v"+
					`; want no error and v.Record.Reason == "its partition p0 of A is no more" and v.Partition == ""`,
				v, err,
			)
		}
		if !destroyed {
			if again := r.ask(proto.Request{Title: "root", State: proto.Stopped}); again.Record.ID != root.Record.ID ||
				again.Computer != "C" {
				t.Errorf(`again = %+v; want again.Record.ID == root.Record.ID and again.Computer == "C"`, again)
			}
			r.are("C", "stopped", "stopped")
			continue
		}
		for range 2 {
			r.ask(proto.Request{Title: "root", State: proto.Destroyed})
		}
		r.are("C", "destroyed", "free")
		if children, err := r.Instances.InstanceDestroyed(t.Context(), access.Anybody, "C", "p0"); err != nil || children != nil {
			t.Errorf("children = %v, err = %v; want no error and children == nil", children, err)
		}
		if n := left(); n != 0 {
			t.Errorf("%d instances stay", n)
		}
	}
}

// Where no computer is named and the master has no default, a shared instance finds its host on
// any, before or after that comes, and another on any when it goes.
func TestSharedAnywhere(t *testing.T) {
	r := newRig(t, master.Options{})
	for _, guid := range []string{"A", "B", "C"} {
		r.format(guid, 1)
	}
	on := func(guid string) proto.Request {
		return proto.Request{Title: "host " + guid, Filter: proto.Dictionary{"computer_guid": guid}}
	}
	shared := proto.Request{Title: "early", Shared: true}
	shared.Release = demo
	if _, err := r.Requests.Request(t.Context(), access.Anybody, &shared); !errors.Is(err, compute.ErrNoCapacity) {
		t.Fatal(err)
	}
	r.ask(on("B"))
	is := func(title, want string) {
		t.Helper()
		if a := r.ask(proto.Request{Title: title, Shared: true}); a.Computer != want || a.Record.Computer != want {
			t.Errorf("%s is on %q, %q; not on %s", title, a.Computer, a.Record.Computer, want)
		}
	}
	if p := r.partition("B", "p0"); len(p.Shared) != 1 {
		t.Errorf("p.Shared = %+v; want len(p.Shared) == 1", p.Shared)
	}
	is("early", "B")
	is("late", "B")
	r.ask(on("C"))
	is("late", "B")
	if _, err := r.Instances.InstanceDestroyed(t.Context(), access.Anybody, "B", "p0"); err != nil {
		t.Fatal(err)
	}
	is("late", "C")
	is("early", "C")
	if _, err := r.Instances.InstanceDestroyed(t.Context(), access.Anybody, "C", "p0"); err != nil {
		t.Fatal(err)
	}
	r.ask(on("A"))
	is("early", "A")
	is("late", "A")
}
