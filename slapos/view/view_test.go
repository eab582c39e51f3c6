package view_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/nodereport"
	"github.com/hostler-project/hostler/slapos/view"
	"github.com/hostler-project/hostler/store/sqlite"
)

// desk is a master, the API before it, and clients of the API: root, an administrator; ann and bea,
// users; vic, who only looks.
type desk struct {
	t  testing.TB
	m  *master.Master
	at string
}

var people = map[string]auth.Principal{
	"root": {Name: "root", Everywhere: auth.Administrator}, "ann": {Name: "ann", Everywhere: auth.User},
	"bea": {Name: "bea", Everywhere: auth.User},
	"vic": {Name: "vic", Everywhere: auth.Viewer}, "lease": {Name: "ann", Everywhere: auth.User, Lease: "l"},
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	m, err := master.New(t.Context(), master.Options{Store: st})
	if err != nil {
		t.Fatal(err)
	}
	v := view.New(view.Options{Master: m, Who: func(p auth.Principal, writes bool) (access.Who, error) {
		switch {
		case p.Admin():
			return access.Anybody, nil
		case p.Lease != "" || writes && !p.May(auth.Use, ""):
			return access.Who{}, &access.Refusal{Kind: compute.ErrDenied, Text: "You may not do this in the project."}
		}
		return access.Who{User: p.Name}, nil
	}})
	ctx, cancel := context.WithCancel(context.Background())
	srv := httptest.NewServer(server.New(server.Options{
		Engine:   func() server.Engine { return server.Engine{} },
		Version:  "test",
		Identity: func() api.Identity { return api.Identity{} },
		Slap:     func() server.Slap { return v },
		Callers: server.Callers{Limits: auth.NewLimits(auth.LimitOptions{Failures: -1}),
			Authenticate: func(r *http.Request) (auth.Principal, error) {
				if p, ok := people[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]; ok {
					return p, nil
				}
				return auth.Principal{}, &compute.Error{Kind: compute.ErrDenied, Err: errors.New("nobody")}
			}},
		Lifecycle: server.Lifecycle{Ready: func(context.Context) error { return nil }, Ending: ctx.Done()},
	}))
	t.Cleanup(func() {
		cancel()
		srv.Close()
		_ = st.Close()
	})
	return &desk{t, m, srv.URL}
}

// as is a client of somebody.
func (d *desk) as(name string) *client.Client {
	d.t.Helper()
	c, err := client.New(client.Options{URL: d.at, Token: name})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (d *desk) format(guid string, partitions int) {
	d.t.Helper()
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
	if err := d.m.Computers.Format(d.t.Context(), access.Anybody, c); err != nil {
		d.t.Fatal(err)
	}
}

func ok[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

const demo = "https://software.example/demo/software.cfg"

// TestTree: a tree is asked for, seen with all that there is to tell of it, stopped, changed and
// destroyed.
func TestTree(t *testing.T) {
	d, ctx := newDesk(t), t.Context()
	d.format("COMP-1", 2)
	ann := d.as("ann")
	if err := d.as("root").SlapOS().Supply(ctx, "COMP-1", api.SlapSupply{Release: demo}); err != nil {
		t.Fatal(err)
	}
	one := ok[api.SlapInstanceDetail](t)
	n := one(ann.SlapOS().Request(
		ctx,
		api.SlapRequest{
			Title: "shop", Release: demo, Parameters: map[string]any{"a": "1"},
			Filter: map[string]string{"computer_guid": "COMP-1"},
		},
	))
	if n.Computer != "COMP-1" || n.Partition != "p0" || n.State != "started" || n.Parameters["a"] != "1" ||
		n.Filter["computer_guid"] != "COMP-1" || n.Owner != "ann" || n.Addresses[0] != "10.0.0.0" || n.Status != nil {
		t.Errorf("n = %+v", n)
	}
	if again := one(ann.SlapOS().Request(
		ctx,
		api.SlapRequest{
			Title: "shop", Release: demo, Parameters: map[string]any{"a": "1"},
			Filter: map[string]string{"computer_guid": "COMP-1"},
		},
	)); again.Instance != n.Instance || !again.Changed.Equal(*n.Changed) {
		t.Errorf("the same again: %+v", again)
	}
	if _, err := d.m.Requests.Request(
		ctx, access.Who{Computer: "COMP-1"},
		&proto.Request{Title: "database", Release: demo, Computer: "COMP-1", Partition: "p0"},
	); err != nil {
		t.Fatal(err)
	}
	if _, err := d.m.Requests.Request(
		ctx, access.Who{Computer: "COMP-1"},
		&proto.Request{Title: "cache", Release: demo, Computer: "COMP-1", Partition: "p0"},
	); !errors.Is(err, compute.ErrNoCapacity) {
		t.Fatal(err)
	}
	for _, err := range []error{
		d.m.Instances.SetConnection(ctx, access.Who{Computer: "COMP-1"}, "COMP-1", "p0", "", proto.Dictionary{"password": "very secret"}),
		d.m.Statuses.InstanceReported(ctx, access.Who{Computer: "COMP-1"}, "COMP-1", "p0", "started"),
		d.m.Statuses.InstanceError(ctx, access.Who{Computer: "COMP-1"}, "COMP-1", "p1", "", "a promise failed"),
		d.m.Statuses.ReleaseError(ctx, access.Who{Computer: "COMP-1"}, "COMP-1", demo, "no gcc"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	trees := ok[api.SlapInstancePage](t)(ann.SlapOS().Instances(ctx, api.SlapQuery{Roots: true}, api.SlapPage{}))
	if len(trees.Instances) != 1 || trees.Instances[0].Members != 3 || trees.Instances[0].Unplaced != 1 ||
		trees.Instances[0].Status.State != "started" {
		t.Errorf(
			"trees = %+v"+
				"; want len(trees.Instances) == 1 and trees.Instances[0].Members == 3 and "+
				`trees.Instances[0].Unplaced == 1 and trees.Instances[0].Status.State == "started"`,
			trees,
		)
	}
	members := map[string]api.SlapInstance{}
	for m, err := range ann.SlapOS().AllInstances(ctx, api.SlapQuery{Root: n.Instance}) {
		if err != nil {
			t.Fatal(err)
		}
		members[m.Title] = m
	}
	if s := members["database"].Status; s == nil || !s.Error || s.Message != "a promise failed" || s.At.IsZero() ||
		members["database"].ParentTitle != "shop" || members["database"].RootTitle != "shop" {
		t.Errorf(`members["database"] = %+v`, members["database"])
	}
	if c := members["cache"]; !strings.Contains(c.Reason, "1 have no free partition") || c.Partition != "" {
		t.Errorf(`c = %+v; want c.Reason with "1 have no free partition" and c.Partition == ""`, c)
	}
	if waiting := ok[api.SlapInstancePage](t)(ann.SlapOS().Instances(
		ctx, api.SlapQuery{State: "unplaced"}, api.SlapPage{},
	)); len(waiting.Instances) != 1 ||
		waiting.Instances[0].Title != "cache" {
		t.Errorf(`waiting = %+v; want len(waiting.Instances) == 1 and waiting.Instances[0].Title == "cache"`, waiting)
	}
	c := ok[api.SlapComputerDetail](t)(d.as("root").SlapOS().Computer(ctx, "COMP-1"))
	if c.Busy != 2 || c.Partitions != 2 || c.Slots[1].Instance.Title != "database" || c.Supplied[0].Release != demo ||
		!c.Supplied[0].Status.Error || c.Supplied[0].Status.Message != "no gcc" {
		t.Errorf("c = %+v", c)
	}

	if c.Told != nil || len(c.Slots[0].Programs) != 0 {
		t.Errorf("c = %+v; want c.Told == nil and len(c.Slots[0].Programs) == 0", c)
	}
	at := time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)
	said := &nodereport.Report{Computer: "COMP-1", Partitions: []nodereport.Partition{{
		ID: "p9", Processes: []nodereport.Process{{Name: "elsewhere"}},
	}, {ID: "p1",
		Processes: []nodereport.Process{{Name: "server-on-watch", State: "RUNNING", PID: 7, Started: at, CPU: 1.5, Memory: 1 << 20}},
		Promises: []nodereport.Promise{
			{Name: "a", Hours: strings.Repeat("-0", 12), Until: at},
			{Name: "b", Failed: true, Text: "no answer", At: at, Hours: "x", Until: at},
		}}}}
	if err := d.m.Computers.ReportNode(ctx, access.Who{Computer: "COMP-1"}, said); err != nil {
		t.Fatal(err)
	}
	c = ok[api.SlapComputerDetail](t)(d.as("root").SlapOS().Computer(ctx, "COMP-1"))
	want := api.SlapPartition{Programs: []api.SlapProgram{{
		Name: "server-on-watch", State: "RUNNING", PID: 7, Started: &at, CPU: 1.5, Memory: 1 << 20,
	}},
		Promises: []api.SlapPromise{
			{Name: "b", Failed: true, Text: "no answer", At: &at, Hours: "x", Until: &at},
			{Name: "a", Hours: strings.Repeat("-0", 12), Until: &at},
		}}
	if c.Told == nil || len(c.Slots) != 2 || !reflect.DeepEqual(c.Slots[1].Programs, want.Programs) ||
		!reflect.DeepEqual(c.Slots[1].Promises, want.Promises) {
		t.Errorf(
			"c = %+v"+
				"; want c.Told != nil and len(c.Slots) == 2 and c.Slots[1].Programs == want.Programs and "+
				"c.Slots[1].Promises == want.Promises",
			c,
		)
	}

	n = one(ann.SlapOS().Instance(ctx, n.Instance))
	if len(n.Connection) != 1 || n.Connection[0] != "password" {
		t.Errorf(`n = %+v; want len(n.Connection) == 1 and n.Connection[0] == "password"`, n)
	}
	if v := ok[api.SlapConnection](t)(ann.SlapOS().Connection(ctx, n.Instance)); v.Values["password"] != "very secret" {
		t.Errorf(`v = %+v; want v.Values["password"] == "very secret"`, v)
	}
	// A state alone keeps the rest, and goes through the tree; so it is when another than the owner
	// does it.
	n = one(d.as("root").SlapOS().Change(ctx, n.Instance, api.SlapChange{State: "stopped"}))
	if child := one(ann.SlapOS().Instance(ctx, members["database"].Instance)); n.State != "stopped" || n.Owner != "ann" ||
		n.Parameters["a"] != "1" || child.State != "stopped" || child.Asked != "started" {
		t.Errorf(
			"n = %+v, child = %+v"+
				`; want n.State == "stopped" and n.Owner == "ann" and n.Parameters["a"] == "1" and `+
				`child.State == "stopped" and child.Asked == "started"`,
			n, child,
		)
	}
	n = one(ann.SlapOS().Change(ctx, n.Instance, api.SlapChange{State: "started", Parameters: &map[string]any{}, Type: "large"}))
	if n.State != "started" || len(n.Parameters) != 0 || n.Type != "large" || n.Release != demo {
		t.Errorf(`n = %+v; want n.State == "started" and len(n.Parameters) == 0 and n.Type == "large" and n.Release == demo`, n)
	}
	if _, err := ann.SlapOS().Change(ctx, members["database"].Instance, api.SlapChange{State: "stopped"}); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("of an inner one: %v", err)
	}
	n = one(ann.SlapOS().Change(ctx, n.Instance, api.SlapChange{State: "destroyed"}))
	if _, err := ann.SlapOS().Instance(ctx, members["cache"].Instance); n.State != "destroyed" || !errors.Is(err, compute.ErrNotFound) {
		t.Errorf(`n = %+v, err = %v; want n.State == "destroyed" and error compute.ErrNotFound`, n, err)
	}
	if err := d.as("root").SlapOS().Supply(ctx, "COMP-1", api.SlapSupply{Release: demo, State: "destroyed"}); err != nil {
		t.Fatal(err)
	}
	if c := ok[api.SlapComputerDetail](t)(d.as("root").SlapOS().Computer(ctx, "COMP-1")); c.Supplied[0].State != "destroyed" {
		t.Errorf(`c = %+v; want c.Supplied[0].State == "destroyed"`, c)
	}
}

// TestUnplaced: what has no place is kept, says why, is placed when there is one, and is gone at
// once when it is not wanted any more.
func TestUnplaced(t *testing.T) {
	d, ctx := newDesk(t), t.Context()
	d.format("COMP-1", 1)
	root, one := d.as("root"), ok[api.SlapInstanceDetail](t)
	a := one(root.SlapOS().Request(ctx, api.SlapRequest{Title: "a", Release: demo}))
	b := one(root.SlapOS().Request(ctx, api.SlapRequest{Title: "b", Release: demo}))
	if b.Instance == "" || b.Computer != "" || !strings.Contains(b.Reason, "no computer fits: 1 have no free partition") {
		t.Errorf(
			"b = %+v"+
				`; want b.Instance != "" and b.Computer == "" and b.Reason with "no computer fits: 1 have `+
				`no free partition"`,
			b,
		)
	}
	if now := one(root.SlapOS().Change(
		ctx, b.Instance, api.SlapChange{State: "stopped", Parameters: &map[string]any{"k": "v"}},
	)); now.State != "stopped" || now.Parameters["k"] != "v" || now.Reason == "" {
		t.Errorf(`now = %+v; want now.State == "stopped" and now.Parameters["k"] == "v" and now.Reason != ""`, now)
	}
	one(root.SlapOS().Change(ctx, a.Instance, api.SlapChange{State: "destroyed"}))
	if _, err := d.m.Instances.InstanceDestroyed(ctx, access.Anybody, "COMP-1", "p0"); err != nil {
		t.Fatal(err)
	}
	if now := one(root.SlapOS().Change(ctx, b.Instance, api.SlapChange{State: "started"})); now.Partition != "p0" ||
		now.State != "started" || now.Parameters["k"] != "v" || now.Reason != "" {
		t.Errorf(
			"now = %+v"+
				`; want now.Partition == "p0" and now.State == "started" and now.Parameters["k"] == "v" `+
				`and now.Reason == ""`,
			now,
		)
	}
	c := one(root.SlapOS().Request(ctx, api.SlapRequest{Title: "c", Release: demo}))
	if end := one(root.SlapOS().Change(ctx, c.Instance, api.SlapChange{State: "destroyed"})); end.State != "destroyed" {
		t.Errorf(`end = %+v; want end.State == "destroyed"`, end)
	}
	if _, err := root.SlapOS().Instance(ctx, c.Instance); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("err = %v; want error compute.ErrNotFound", err)
	}
}

// TestOthers: what is another's is not there, nobody who only looks changes anything or sees
// secrets, and a lease's token is for nothing here.
func TestOthers(t *testing.T) {
	d, ctx := newDesk(t), t.Context()
	d.format("COMP-1", 2)
	n := ok[api.SlapInstanceDetail](t)(d.as("ann").SlapOS().Request(ctx, api.SlapRequest{Title: "hers", Release: demo}))
	for _, c := range []struct {
		who, method, path, body string
		status                  int
	}{
		{"", "GET", "/v1/slap/instances", "", 401},
		{"bea", "GET", "/v1/slap/instances/" + n.Instance, "", 404},
		{"bea", "GET", "/v1/slap/instances/" + n.Instance + "/connection", "", 404},
		{"bea", "POST", "/v1/slap/instances/" + n.Instance, `{"state": "destroyed"}`, 404},
		{"bea", "GET", "/v1/slap/computers/COMP-1", "", 404},
		{"bea", "GET", "/v1/slap/computers/COMP-1/usage", "", 404},
		{"bea", "POST", "/v1/slap/computers/COMP-1/supply", `{"release": "u"}`, 404},
		{"vic", "GET", "/v1/slap/instances", "", 200},
		{"vic", "GET", "/v1/slap/watch", "", 200},
		{"vic", "GET", "/v1/slap/instances/" + n.Instance + "/connection", "", 403},
		{"vic", "POST", "/v1/slap/instances", `{"title": "t", "release": "r"}`, 403},
		{"vic", "POST", "/v1/slap/instances/" + n.Instance, `{"state": "destroyed"}`, 403},
		{"vic", "POST", "/v1/slap/computers/COMP-1/supply", `{"release": "u"}`, 403},
		{"lease", "GET", "/v1/slap/instances", "", 403},
		{"lease", "GET", "/v1/slap/watch", "", 403},
		{"lease", "POST", "/v1/slap/instances", `{"title": "t", "release": "r"}`, 403},
		{"ann", "POST", "/v1/slap/instances", `{"title": "t", "release": "r", "state": "gone"}`, 422},
		{"ann", "POST", "/v1/slap/instances", `{"title": "t\u0001", "release": "r"}`, 400},
		{"root", "GET", "/v1/slap/instances/none", "", 404},
		{"root", "GET", "/v1/slap/computers/none", "", 404},
	} {
		r, err := http.NewRequestWithContext(ctx, c.method, d.at+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if c.who != "" {
			r.Header.Set("Authorization", "Bearer "+c.who)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		if !strings.HasPrefix(answer.Header.Get("Content-Type"), api.EventStream) {
			b, _ := io.ReadAll(answer.Body)
			text = string(b)
		}
		answer.Body.Close()
		if answer.StatusCode != c.status || strings.Contains(text, "hers") {
			t.Errorf(
				"c.who = %s c.method = %s c.path = %s: answer.StatusCode = %d text = %s"+
					`; want answer.StatusCode == c.status and text without "hers"`,
				c.who, c.method, c.path, answer.StatusCode, text,
			)
		}
	}
	for _, who := range []string{"bea", "vic"} {
		if page := ok[api.SlapInstancePage](t)(d.as(who).SlapOS().Instances(ctx, api.SlapQuery{}, api.SlapPage{})); len(page.Instances) != 0 {
			t.Errorf("%s sees %+v", who, page)
		}
	}
	if page := ok[api.SlapComputerPage](t)(d.as("bea").SlapOS().Computers(ctx, "", api.SlapPage{})); len(page.Computers) != 0 {
		t.Errorf("page = %+v; want len(page.Computers) == 0", page)
	}
	if now := ok[api.SlapInstanceDetail](t)(d.as("ann").SlapOS().Instance(ctx, n.Instance)); now.State != "started" {
		t.Errorf(`now = %+v; want now.State == "started"`, now)
	}
}

// TestPages: lists come in pages, which together have everything once.
func TestPages(t *testing.T) {
	d, ctx := newDesk(t), t.Context()
	for i := range 7 {
		d.format(fmt.Sprint("COMP-", i), 2)
		ok[api.SlapInstanceDetail](t)(d.as("root").SlapOS().Request(ctx, api.SlapRequest{Title: fmt.Sprint("tree ", i), Release: demo}))
	}
	root, seen := d.as("root"), ""
	page := api.SlapPage{Limit: 3}
	for n := 1; ; n++ {
		part := ok[api.SlapComputerPage](t)(root.SlapOS().Computers(ctx, "comp", page))
		for _, c := range part.Computers {
			seen += c.Computer + " "
		}
		if page.After = part.Next; part.Next == "" {
			if n != 3 {
				t.Errorf("%d pages", n)
			}
			break
		}
	}
	for page.After = ""; ; {
		part := ok[api.SlapInstancePage](t)(root.SlapOS().Instances(ctx, api.SlapQuery{Roots: true, Match: "TREE"}, page))
		for _, i := range part.Instances {
			seen += i.Title + " "
		}
		if page.After = part.Next; part.Next == "" {
			break
		}
	}
	if want := "COMP-0 COMP-1 COMP-2 COMP-3 COMP-4 COMP-5 COMP-6 tree 0 tree 1 tree 2 tree 3 tree 4 tree 5 tree 6 "; seen != want {
		t.Errorf("seen = %s; want seen == want", seen)
	}
	if none := ok[api.SlapInstancePage](t)(root.SlapOS().Instances(
		ctx, api.SlapQuery{Match: "nothing"}, api.SlapPage{},
	)); len(none.Instances) != 0 || none.Next != "" {
		t.Errorf(`none = %+v; want len(none.Instances) == 0 and none.Next == ""`, none)
	}
}

// TestWatch: the stream says at once that there is something, and then whenever anything has
// changed.
func TestWatch(t *testing.T) {
	d := newDesk(t)
	d.format("COMP-1", 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.at+"/v1/slap/watch", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer root")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	next := func() string {
		t.Helper()
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return text
			}
		}
		t.Fatal("the stream ends", lines.Err())
		return ""
	}
	first := next()
	if err := d.m.Computers.Supply(ctx, access.Anybody, "COMP-1", demo, ""); err != nil {
		t.Fatal(err)
	}
	if second := next(); second == first || !strings.Contains(second, `"mark"`) {
		t.Errorf("%s, then %s", first, second)
	}
}

// TestChanged: who waits for a change hears of requests and of what nodes report, and of nothing
// when nothing changes.
func TestChanged(t *testing.T) {
	d := newDesk(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d.format("COMP-1", 1)
	mark, err := d.m.Changed(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	ended, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	if now, err := d.m.Changed(ended, mark); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing changed: %s, %v", now, err)
	}
	for name, change := range map[string]func() error{
		"request": func() error {
			_, err := d.m.Requests.Request(ctx, access.Anybody, &proto.Request{Title: "t", Release: demo})
			return err
		},
		"message": func() error { return d.m.Statuses.ComputerBang(ctx, access.Anybody, "COMP-1", "hello") },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		now, err := d.m.Changed(ctx, mark)
		if err != nil || now == mark {
			t.Errorf("%s: now = %s, err = %v; want no error and now != mark", name, now, err)
		}
		mark = now
	}
}
