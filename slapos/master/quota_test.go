package master_test

import (
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
	"github.com/hostler-project/hostler/store/sqlite"
)

// A project never has more than its limit, however many ask by however many masters at a time; why
// is told, and what ends makes room.
func TestQuota(t *testing.T) {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	opt := master.Options{Store: st, Computer: "C", Limits: func(project, user string) []master.Limit {
		if project != "web" {
			return nil
		}
		return []master.Limit{
			{Whose: "the project web", Partitions: 3, Shared: 2},
			{Whose: user + " in the project web", User: true, Partitions: 2},
		}
	}}
	var both [2]*master.Master
	for i := range both {
		if both[i], err = master.New(t.Context(), opt); err != nil {
			t.Fatal(err)
		}
	}
	m, ctx := both[0], t.Context()
	c := &proto.Configuration{Computer: "C"}
	for i := range 20 {
		c.Partitions = append(c.Partitions, proto.ConfiguredPartition{ID: fmt.Sprint("p", i)})
	}
	if err := m.Computers.Format(ctx, access.Anybody, c); err != nil {
		t.Fatal(err)
	}
	as := func(user string) access.Who { return access.Who{User: user, Name: user, Project: "web"} }
	var all sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	for i := range 12 {
		user := []string{"ann", "bob"}[i%2]
		all.Go(func() {
			_, err := both[i/2%2].Requests.Request(ctx, as(user), &proto.Request{Title: fmt.Sprint("t", i), Release: demo})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				got[user]++
			} else if !errors.Is(err, compute.ErrNoCapacity) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got["ann"]+got["bob"] != 3 || got["ann"] > 2 || got["bob"] > 2 {
		t.Fatal(got)
	}
	// Others are not held by that, nor is what was had before.
	if _, err := m.Requests.Request(ctx, access.Who{User: "eve", Name: "eve"}, &proto.Request{Title: "x", Release: demo}); err != nil {
		t.Error(err)
	}
	user := "ann"
	if got["ann"] < 2 {
		user = "bob"
	}
	_, err = m.Requests.Request(ctx, as(user), &proto.Request{Title: "more", Release: demo})
	refusal, ok := errors.AsType[*access.Refusal](err)
	if !ok || refusal.Reason() != "No free computer partition found for: more (the project web has 3 of 3 partitions)" {
		t.Fatal(err)
	}
	trees, err := m.Instances.Trees(ctx, as(user), true)
	if err != nil {
		t.Fatal(err)
	}
	var mine *master.ListedInstance
	kept := false
	for _, n := range trees {
		if n.Partition != "" {
			mine = n
		}
		kept = kept || n.Record.Title == "more" && n.Record.Reason == "the project web has 3 of 3 partitions"
	}
	if !kept || mine == nil {
		t.Fatalf("trees = %+v; want kept and mine != nil", trees)
	}
	if _, err := m.Requests.Request(ctx, as(user), &proto.Request{Title: mine.Record.Title, Release: demo, Type: "other"}); err != nil {
		t.Errorf("what there is cannot be changed: %v", err)
	}
	for i := range 3 {
		_, err := m.Requests.Request(ctx, as(user), &proto.Request{Title: fmt.Sprint("s", i), Release: "no host", Shared: true})
		r, _ := errors.AsType[*access.Refusal](err)
		if full := "the project web has 2 of 2 shared instances"; r == nil || (r.Detail == full) != (i == 2) {
			t.Errorf("%d: err = %v; want r != nil and (r.Detail == full) == (i == 2)", i, err)
		}
	}
	// The one beyond the limit is kept with the reason, counts not, and gets no host before there
	// is room for it.
	waiting := func(title string) string {
		t.Helper()
		trees, err := both[1].Instances.Trees(ctx, as(user), true)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range trees {
			if n.Record.Title == title {
				return n.Record.Reason
			}
		}
		return "nothing"
	}
	if why := waiting("s2"); why != "the project web has 2 of 2 shared instances" {
		t.Errorf("of s2 is kept %q", why)
	}
	eve := access.Who{User: "eve", Name: "eve"}
	if _, err := m.Requests.Request(ctx, eve, &proto.Request{Title: "host", Release: "no host"}); err != nil {
		t.Fatal(err)
	}
	shared := func(title, state string) error {
		_, err := both[1].Requests.Request(ctx, as(user), &proto.Request{Title: title, Release: "no host", Shared: true, State: state})
		return err
	}
	if why := waiting("s0") + waiting("s1") + waiting("s2"); why != "the project web has 2 of 2 shared instances" {
		t.Errorf("after a host came: %q", why)
	}
	if err := shared("s2", ""); !errors.Is(err, compute.ErrNoCapacity) {
		t.Error(err)
	}
	if err := errors.Join(shared("s0", proto.Destroyed), shared("s2", "")); err != nil || waiting("s2") != "" {
		t.Errorf("with room for it: %v, %q", err, waiting("s2"))
	}
	if err := shared("s3", ""); !errors.Is(err, compute.ErrNoCapacity) || waiting("s3") == "nothing" {
		t.Errorf("it counts now: %v", err)
	}
	if err := shared("s3", proto.Destroyed); err != nil || waiting("s3") != "nothing" {
		t.Errorf("it is not wanted any more: %v", err)
	}
	if _, err := m.Instances.DestroyedOf(ctx, access.Anybody, mine.Record.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := both[1].Requests.Request(ctx, as(user), &proto.Request{Title: "more", Release: demo}); err != nil {
		t.Errorf("there is room again: %v", err)
	}
	if n, err := m.Counts(ctx); err != nil || n.Busy != 5 || n.Partitions != 20 || n.Computers != 1 || n.Shared != 2 {
		t.Errorf(
			"n = %+v, err = %v"+
				"; want no error and n.Busy == 5 and n.Partitions == 20 and n.Computers == 1 and n.Shared == 2",
			n, err,
		)
	}
}

// What a user asks for belongs to the user's project. It goes to the project's computers and to
// those of none.
func TestProjects(t *testing.T) {
	r := newRig(t, certifying(t))
	ctx := t.Context()
	ann := access.Who{User: "ann", Name: "ann", Project: "web"}
	for _, q := range []proto.Request{{Title: "x", Release: demo, Project: "db"}} {
		if _, err := r.Requests.Request(ctx, ann, &q); !errors.Is(err, compute.ErrDenied) {
			t.Error(err)
		}
	}
	if _, err := r.Computers.NewComputer(ctx, ann, "x", "db"); !errors.Is(err, compute.ErrDenied) {
		t.Error(err)
	}
	guid, err := r.Computers.NewComputer(ctx, access.Who{User: "bob", Project: "db"}, "bob's", "")
	if err != nil {
		t.Fatal(err)
	}
	r.format(guid, 1)
	_, err = r.Requests.Request(ctx, ann, &proto.Request{Title: "x", Release: demo, Filter: proto.Dictionary{"computer_guid": guid}})
	if refusal, ok := errors.AsType[*access.Refusal](err); !ok || refusal.Detail != guid+" is of another project" {
		t.Error(err)
	}
	if _, err := r.Requests.Request(ctx, ann, &proto.Request{Title: "x", Release: demo}); !errors.Is(err, compute.ErrNoCapacity) {
		t.Error(err)
	}
	r.format("everybody's", 1)
	if a, err := r.Requests.Request(ctx, ann, &proto.Request{Title: "x", Release: demo}); err != nil || a.Computer != "everybody's" {
		t.Errorf(`a = %+v, err = %v; want no error and a.Computer == "everybody's"`, a, err)
	}
}

// A user who asks in one project gets nothing of another: the user's role there may have ended, and
// the token is for no more.
func TestOneProject(t *testing.T) {
	r := newRig(t, certifying(t))
	ctx := t.Context()
	web, db, wide := access.Who{User: "ann", Project: "web"}, access.Who{User: "ann", Project: "db"}, access.Who{User: "ann"}
	r.format("C", 1)
	a, err := r.Requests.Request(ctx, web, &proto.Request{Title: "x", Release: demo})
	if err != nil {
		t.Fatal(err)
	}
	guid, err := r.Computers.NewComputer(ctx, web, "ann's", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who  access.Who
		want error
	}{{web, nil}, {wide, nil}, {db, compute.ErrDenied}} {
		_, find := r.Instances.Find(ctx, c.who, a.Record.ID)
		_, at := r.Computers.Partition(ctx, c.who, "C", "p0")
		_, view := overview.Instance(ctx, r.Master, c.who, a.Record.ID)
		_, change := r.Requests.Change(ctx, c.who, a.Record.ID, master.Change{State: proto.Stopped})
		_, status := overview.Computer(ctx, r.Master, c.who, guid)
		for what, err := range map[string]error{"find": find, "partition": at, "view": view, "change": change,
			"computer": status, "supply": r.Computers.Supply(ctx, c.who, guid, demo, proto.Available),
			"rename": r.Instances.RenameOf(ctx, c.who, a.Record.ID, "x")} {
			if !errors.Is(err, c.want) {
				t.Errorf("%s as %+v: %v", what, c.who, err)
			}
		}
		trees, err := r.Instances.Trees(ctx, c.who, true)
		if err != nil || len(trees) != map[bool]int{true: 1}[c.want == nil] {
			t.Errorf("as %+v: %d trees, %v", c.who, len(trees), err)
		}
		computers, err := r.Computers.All(ctx, c.who)
		if err != nil || len(computers) != len(trees) {
			t.Errorf("as %+v: %d computers, %v", c.who, len(computers), err)
		}
	}
}

// A user's own computer takes that user's instances alone, and a shared instance goes to no host
// on a computer of another project, or another user's: neither when it is asked for, nor later.
func TestWhoseComputer(t *testing.T) {
	r := newRig(t, certifying(t))
	ctx := t.Context()
	bob := access.Who{User: "bob", Project: "db"}
	for _, of := range []access.Who{{User: "ann"}, {User: "ann", Project: "web"}} {
		guid, err := r.Computers.NewComputer(ctx, of, "ann's", "")
		if err != nil {
			t.Fatal(err)
		}
		r.format(guid, 4)
		at := proto.Dictionary{"computer_guid": guid}
		why := map[string]string{"": guid + " is another user's", "web": guid + " is of another project"}[of.Project]
		_, err = r.Requests.Request(ctx, bob, &proto.Request{Title: "x", Release: demo, Filter: at})
		if refusal, ok := errors.AsType[*access.Refusal](err); !ok || refusal.Detail != why {
			t.Error(err)
		}
		a, err := r.Requests.Request(ctx, bob, &proto.Request{Title: "anywhere", Release: demo})
		if !errors.Is(err, compute.ErrNoCapacity) {
			t.Errorf("a = %+v, err = %v; want error compute.ErrNoCapacity", a, err)
		}
		if _, err := r.Requests.Request(
			ctx, access.Anybody, &proto.Request{Title: "anywhere", Release: demo},
		); !errors.Is(err, compute.ErrNoCapacity) {
			t.Errorf("an administrator, who does not name it: %v", err)
		}
		s := &proto.Request{Title: "before", Release: demo, Filter: at, Shared: true}
		if _, err := r.Requests.Request(ctx, bob, s); !errors.Is(err, compute.ErrNoCapacity) {
			t.Error(err)
		}
		for _, who := range []access.Who{of, access.Anybody} {
			if a, err := r.Requests.Request(
				ctx, who, &proto.Request{Title: "host of " + guid, Release: demo, Filter: at},
			); err != nil || a.Computer != guid {
				t.Errorf("a = %+v, err = %v; want no error and a.Computer == guid", a, err)
			}
		}
		for _, title := range []string{"before", "after"} {
			s := &proto.Request{Title: title, Release: demo, Filter: at, Shared: true}
			if a, err := r.Requests.Request(ctx, bob, s); !errors.Is(err, compute.ErrNoCapacity) {
				t.Errorf("%s: bob's shared instance has a host on ann's computer: %+v, %v", title, a, err)
			}
		}
		if p := r.partition(guid, "p0"); len(p.Shared) != 0 {
			t.Errorf("p.Shared = %+v; want len(p.Shared) == 0", p.Shared)
		}
		if a, err := r.Requests.Request(
			ctx, of, &proto.Request{Title: "hers of " + guid, Release: demo, Filter: at, Shared: true},
		); err != nil || a.Computer != guid {
			t.Errorf("a = %+v, err = %v; want no error and a.Computer == guid", a, err)
		}
	}
}
