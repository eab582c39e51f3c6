package master_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/authority"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/web"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/store/sqlite"
)

func certifying(t *testing.T) master.Options {
	t.Helper()
	a, err := authority.Open(filepath.Join(t.TempDir(), "ca"))
	if err != nil {
		t.Fatal(err)
	}
	return master.Options{Authority: a}
}

func second(_ []string, err error) error { return err }

// serialOf is the serial number of a certificate that was to be signed.
func serialOf(t *testing.T, pair *proto.Certificate, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	both, err := tls.X509KeyPair([]byte(pair.Certificate), []byte(pair.Key))
	if err != nil {
		t.Fatal(err)
	}
	return both.Leaf.SerialNumber.Text(16)
}

// A certificate is of who it was signed for, until it is revoked, also by another master of the
// store.
func TestCertified(t *testing.T) {
	opt := certifying(t)
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	opt.Store = st
	var both [2]*master.Master
	for i := range both {
		if both[i], err = master.New(t.Context(), opt); err != nil {
			t.Fatal(err)
		}
	}
	m, other := both[0], both[1]
	admin, ctx := access.Anybody, t.Context()
	is := func(serial string, want access.Who) {
		t.Helper()
		for _, m := range both {
			who, err := m.Certificates.Certified(ctx, serial)
			if who.Via != "certificate "+serial {
				t.Errorf("known by %q", who.Via)
			}
			if who.Name, who.Via = "", ""; err != nil || who != want {
				t.Errorf("%+v, %v; want %+v", who, err, want)
			}
		}
	}
	revoked := func(serial string) {
		t.Helper()
		for _, m := range both {
			if who, err := m.Certificates.Certified(ctx, serial); !errors.Is(err, compute.ErrDenied) || who != (access.Who{}) {
				t.Errorf("who = %+v, err = %v; want error compute.ErrDenied and who == (access.Who{})", who, err)
			}
		}
	}
	pair, err := m.Certificates.ComputerCertificate(ctx, admin, "COMP-1") // which nobody knows yet
	node := serialOf(t, pair, err)
	is(node, access.Who{Computer: "COMP-1"})
	pair, err = m.Certificates.UserCertificate(ctx, admin, "ann", false)
	ann := serialOf(t, pair, err)
	is(ann, access.Who{User: "ann"})
	pair, err = m.Certificates.UserCertificate(ctx, admin, "ann", true)
	root := serialOf(t, pair, err)
	is(root, admin)
	revoked("1234")

	// A node renews its own, nobody else's; a user those of the user's computers.
	pair, err = m.Certificates.ComputerCertificate(ctx, admin, "COMP-2")
	_ = serialOf(t, pair, err)
	self := access.Who{Computer: "COMP-1"}
	if _, err := m.Certificates.ComputerCertificate(ctx, self, "COMP-1"); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("before it is formatted: %v", err)
	}
	if err := m.Computers.Format(ctx, self, &proto.Configuration{Computer: "COMP-1"}); err != nil {
		t.Fatal(err)
	}
	pair, err = m.Certificates.ComputerCertificate(ctx, self, "COMP-1")
	renewed := serialOf(t, pair, err)
	is(node, self)
	is(renewed, self)
	user := access.Who{User: "ann"}
	for what, err := range map[string]error{
		"a node for another":    errOf(m.Certificates.ComputerCertificate(ctx, self, "COMP-2")),
		"a user for a stranger": errOf(m.Certificates.ComputerCertificate(ctx, user, "COMP-1")),
		"a node for a user":     errOf(m.Certificates.UserCertificate(ctx, self, "bob", false)),
		"a user for himself":    errOf(m.Certificates.UserCertificate(ctx, user, "ann", true)),
		"revoke another":        m.Certificates.RevokeComputer(ctx, access.Who{Computer: "COMP-2"}, "COMP-1"),
		"revoke by a user":      m.Certificates.RevokeUser(ctx, access.Who{User: "bob"}, "ann"),
		"revoke by a node":      m.Certificates.RevokeUser(ctx, self, "COMP-1"),
	} {
		if !errors.Is(err, compute.ErrDenied) {
			t.Errorf("%s: err = %v; want error compute.ErrDenied", what, err)
		}
	}
	guid, err := m.Computers.NewComputer(ctx, user, "mine", "")
	if err != nil {
		t.Fatal(err)
	}
	pair, err = m.Certificates.ComputerCertificate(ctx, user, guid)
	is(serialOf(t, pair, err), access.Who{Computer: guid})
	for _, name := range []string{"a b", "../x", "", "Größe", strings.Repeat("a", 129), "-x"} {
		if _, err := m.Certificates.UserCertificate(ctx, admin, name, false); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("%q: err = %v; want error compute.ErrInvalid", name, err)
		}
	}

	if err := other.Certificates.RevokeComputer(ctx, admin, "COMP-1"); err != nil {
		t.Fatal(err)
	}
	revoked(node)
	revoked(renewed)
	is(ann, user)
	if err := m.Certificates.RevokeUser(ctx, admin, "ann"); err != nil {
		t.Fatal(err)
	}
	revoked(ann)
	revoked(root)
	if err := m.Certificates.RevokeUser(ctx, admin, "ann"); err != nil {
		t.Errorf("again: %v", err)
	}
}

func errOf(_ *proto.Certificate, err error) error { return err }

// An instance has one certificate, speaks by it for itself alone, and no more when it is gone.
func TestInstanceCertificate(t *testing.T) {
	r := newRig(t, certifying(t))
	r.format("COMP-1", 4)
	at := map[string]any{"computer_guid": "COMP-1"}
	one, two := r.ask(proto.Request{Title: "one", Filter: at}), r.ask(proto.Request{Title: "two", Filter: at})
	ctx := t.Context()
	pair, err := r.Certificates.InstanceCertificate(ctx, access.Anybody, one.Record)
	first := serialOf(t, pair, err)
	pair, err = r.Certificates.InstanceCertificate(ctx, access.Who{Computer: "COMP-1"}, one.Record)
	if again := serialOf(t, pair, err); again != first {
		t.Error("it is another each time")
	}
	if _, err := r.Certificates.InstanceCertificate(ctx, access.Who{Computer: "COMP-2"}, one.Record); !errors.Is(err, compute.ErrDenied) {
		t.Errorf("another node gets it: %v", err)
	}
	who, err := r.Certificates.Certified(ctx, first)
	if who.Via = ""; err != nil || who != (access.Who{Instance: one.Record.ID}) {
		t.Fatalf("who = %+v, err = %v; want no error and who == (access.Who{Instance: one.Record.ID})", who, err)
	}
	for _, q := range []proto.Request{
		{Title: "child", Release: demo, Filter: at, Computer: "COMP-1", Partition: one.Partition},
		{Title: "child", Release: demo, Filter: at},
	} {
		if a, err := r.Requests.Request(ctx, who, &q); err != nil || a.Record.Parent != one.Record.ID {
			t.Errorf("a = %+v, err = %v; want no error and a.Record.Parent == one.Record.ID", a, err)
		}
	}
	for what, q := range map[string]proto.Request{
		"as another":    {Title: "child", Release: demo, Filter: at, Computer: "COMP-1", Partition: two.Partition},
		"as a free one": {Title: "two", Release: demo, Filter: at, Computer: "COMP-1", Partition: "p3"},
	} {
		if a, err := r.Requests.Request(ctx, who, &q); !errors.Is(err, compute.ErrDenied) {
			t.Errorf("%s: a = %+v, err = %v; want error compute.ErrDenied", what, a, err)
		}
	}
	if err := r.Instances.SetConnection(ctx, who, "COMP-1", one.Partition, "", proto.Dictionary{"url": "x"}); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"another's connection": r.Instances.SetConnection(ctx, who, "COMP-1", two.Partition, "", proto.Dictionary{"url": "x"}),
		"another is destroyed": second(r.Instances.DestroyedOf(ctx, who, two.Record.ID)),
		// which nobody wants
		"itself is destroyed": second(r.Instances.DestroyedOf(ctx, who, one.Record.ID)),
		"the same by place":   second(r.Instances.InstanceDestroyed(ctx, who, "COMP-1", one.Partition)),
		"the computer":        r.Computers.Format(ctx, who, &proto.Configuration{Computer: "COMP-1"}),
		"a release":           r.Computers.Supply(ctx, who, "COMP-1", demo, proto.Available),
	} {
		if !errors.Is(err, compute.ErrDenied) {
			t.Errorf("%s: err = %v; want error compute.ErrDenied", what, err)
		}
	}
	if _, _, err := r.Computers.Information(ctx, who, "COMP-1"); !errors.Is(err, compute.ErrDenied) {
		t.Errorf("the computer's information: %v", err)
	}
	// its child
	if _, err := r.Instances.InstanceDestroyed(ctx, access.Who{Computer: "COMP-1"}, "COMP-1", "p2"); err != nil {
		t.Fatal(err)
	}
	children, err := r.Instances.InstanceDestroyed(ctx, access.Who{Computer: "COMP-1"}, "COMP-1", one.Partition)
	if err != nil || children != nil {
		t.Fatalf("children = %v, err = %v; want no error and children == nil", children, err)
	}
	if _, err := r.Certificates.Certified(ctx, first); !errors.Is(err, compute.ErrDenied) {
		t.Errorf("after it is gone: %v", err)
	}
	r.ask(proto.Request{Title: "two", State: proto.Destroyed, Filter: at})
	if children, err := r.Instances.DestroyedOf(ctx, access.Who{Instance: two.Record.ID}, two.Record.ID); err != nil || children != nil {
		t.Errorf("one that is wanted destroyed says that it is: %v, %v", children, err)
	}
}

// What each may say to the endpoints: a node of its computer, a user of the user's trees, and of
// nobody else's.
func TestWhoMay(t *testing.T) {
	opt := certifying(t)
	m := open(t, opt)
	ctx := t.Context()
	who := func(r *http.Request) (access.Who, error) {
		switch kind, name, _ := strings.Cut(r.Header.Get("X-Who"), " "); kind {
		case "node":
			return access.Who{Computer: name}, nil
		case "user":
			return access.Who{User: name}, nil
		case "admin":
			return access.Anybody, nil
		}
		return access.Who{}, errors.New("nobody")
	}
	h := web.New(m, wire.Options{Who: who})
	for _, guid := range []string{"COMP-1", "COMP-2"} {
		r := &rig{m, t}
		r.format(guid, 2)
	}
	if _, err := m.Requests.Request(
		ctx, access.Who{User: "ann"},
		&proto.Request{Title: "secret title", Release: demo, Filter: proto.Dictionary{"computer_guid": "COMP-1"}},
	); err != nil {
		t.Fatal(err)
	}
	id := firstID(t, m)
	say := func(who, method, path, body string, want int) {
		t.Helper()
		r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
		r.Header.Set("X-Who", who)
		r.Header.Set(
			"Content-Type",
			map[bool]string{true: "application/json", false: "application/x-www-form-urlencoded"}[strings.HasPrefix(body, "{")],
		)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %s %s %.300s: %d %s; want %d", who, method, path, body, w.Code, w.Body, want)
		}
		if w.Code == http.StatusForbidden && strings.Contains(w.Body.String(), "secret title") {
			t.Errorf("%s: %s %s tells what another's instance is called: %s", who, method, path, w.Body)
		}
	}
	form := func(pairs ...string) string {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v.Encode()
	}
	const none, ok = http.StatusForbidden, http.StatusOK
	p0 := form("computer_id", "COMP-1", "computer_partition_id", "p0", "message", "x", "error_log", "x", "url", "u")
	for _, path := range []string{
		"/startedComputerPartition", "/softwareInstanceError", "/softwareInstanceBang", "/computerBang",
		"/buildingSoftwareRelease", "/softwareReleaseError",
	} {
		say("node COMP-2", "POST", path, p0, none)
		say("user bob", "POST", path, p0, none)
		say("node COMP-1", "POST", path, p0, ok)
	}
	for path, mine := range map[string]bool{"/getFullComputerInformation?computer_id=COMP-1": false,
		"/registerComputerPartition?computer_reference=COMP-1&computer_partition_reference=p0": true,
		"/getComputerPartitionCertificate?computer_id=COMP-1&computer_partition_id=p0":         true} {
		say("node COMP-2", "GET", path, "", none)
		say("user bob", "GET", path, "", none)
		say("user ann", "GET", path, "", map[bool]int{true: ok, false: none}[mine])
		say("node COMP-1", "GET", path, "", ok)
	}
	say("node COMP-2", "POST", "/generateComputerCertificate", form("computer_id", "COMP-1"), none)
	say("user bob", "POST", "/generateComputerCertificate", form("computer_id", "COMP-1"), none)
	say("node COMP-1", "POST", "/generateComputerCertificate", form("computer_id", "COMP-1"), ok)
	say("admin", "POST", "/generateComputerCertificate", form("computer_id", "COMP-1"), ok)
	say("node COMP-2", "POST", "/revokeComputerCertificate", form("computer_id", "COMP-1"), none)
	say("node COMP-1", "POST", "/revokeComputerCertificate", form("computer_id", "COMP-1"), ok)
	root := []string{
		"software_release", demo, "software_type", "default", "partition_reference", "secret title", "state",
		"<marshal><string>destroyed</string></marshal>",
	}
	say("node COMP-1", "POST", "/requestComputerPartition", form(root...), none)
	// in which nothing is
	say(
		"node COMP-1", "POST", "/requestComputerPartition",
		form(append(root, "computer_id", "COMP-1", "computer_partition_id", "p1")...), none,
	)
	say(
		"user bob", "POST", "/requestComputerPartition",
		form(append(root, "computer_id", "COMP-1", "computer_partition_id", "p0")...), none,
	)
	for path, body := range map[string]string{
		"/slapos.put.v0.software_instance_reported_state":       `{"instance_guid":"` + id + `","reported_state":"destroyed"}`,
		"/slapos.put.v0.software_instance_error":                `{"instance_guid":"` + id + `","message":"x"}`,
		"/slapos.put.v0.software_instance_connection_parameter": `{"instance_guid":"` + id + `","connection_parameter_dict":{"a":"b"}}`,
	} {
		// a user tells nothing of how an instance is
		for _, who := range []string{"user ann", "user bob", "node COMP-2"} {
			say(who, "POST", path, body, none)
		}
	}
	for _, who := range []string{"user bob", "node COMP-2"} {
		say(who, "POST", "/slapos.get.v0.software_instance", `{"instance_guid":"`+id+`"}`, none)
		say(who, "POST", "/slapos.get.v0.software_instance_certificate", `{"instance_guid":"`+id+`"}`, none)
		say(who, "POST", "/slapos.get.v0.software_instance", `{"instance_guid":"COMP-1-p0"}`, none)
		say(who, "POST", "/slapos.get.v0.compute_partition", `{"computer_guid":"COMP-1","compute_partition_id":"p0"}`, none)
		say(who, "POST", "/slapos.post.v0.compute_node_certificate", `{"computer_guid":"COMP-1"}`, none)
		say(who, "POST", "/slapos.remove.v0.compute_node_certificate", `{"computer_guid":"COMP-1"}`, none)
	}
	say("user ann", "POST", "/slapos.get.v0.software_instance", `{"instance_guid":"`+id+`"}`, ok)
	say("user ann", "POST", "/slapos.get.v0.software_instance_certificate", `{"instance_guid":"`+id+`"}`, ok)
	for _, name := range []string{"ann", "bob"} {
		pair, err := m.Certificates.UserCertificate(ctx, access.Anybody, name, false)
		serial := serialOf(t, pair, err)
		body := `{"user":"` + name + `"}`
		for _, who := range []string{"user eve", "node COMP-1", "node " + name, "stranger"} {
			say(
				who, "POST", "/hostler.remove.v0.user_certificate", body,
				map[bool]int{true: http.StatusInternalServerError, false: none}[who == "stranger"],
			)
		}
		if _, err := m.Certificates.Certified(ctx, serial); err != nil {
			t.Error(err)
		}
		say(map[string]string{"ann": "user ann", "bob": "admin"}[name], "POST", "/hostler.remove.v0.user_certificate", body, ok)
		if _, err := m.Certificates.Certified(ctx, serial); !errors.Is(err, compute.ErrDenied) {
			t.Error(err)
		}
	}
	for _, body := range []string{
		`{}`, `{"user":"../x"}`, `{"user":1}`, `{"user":"ann","more":"x"}`, `[]`, `{`,
		`{"user":"` + strings.Repeat("a", 200) + `"}`,
	} {
		say("admin", "POST", "/hostler.remove.v0.user_certificate", body, http.StatusBadRequest)
	}
	say(
		"admin", "POST", "/hostler.remove.v0.user_certificate", `{"user":"`+strings.Repeat("a", 5<<20)+`"}`,
		http.StatusRequestEntityTooLarge,
	)
	say("admin", "POST", "/hostler.remove.v0.user_certificate", "user=ann", http.StatusBadRequest)
	say("admin", "GET", "/hostler.remove.v0.user_certificate", "", http.StatusMethodNotAllowed)
	say("node COMP-1", "POST", "/slapos.post.v0.compute_node_certificate", `{"computer_guid":"COMP-1"}`, ok)
	say("node COMP-1", "POST", "/slapos.remove.v0.compute_node_certificate", `{"computer_guid":"COMP-1"}`, ok)
	if n, err := m.Instances.Find(ctx, access.Anybody, id); err != nil || n.State != proto.Started {
		t.Errorf("n = %+v, err = %v; want no error and n.State == proto.Started", n, err)
	}
}

func firstID(t *testing.T, m *master.Master) string {
	t.Helper()
	all, err := m.Instances.Trees(context.WithoutCancel(t.Context()), access.Anybody, true)
	if err != nil || len(all) != 1 {
		t.Fatalf("all = %v, err = %v; want no error and len(all) == 1", all, err)
	}
	return all[0].Record.ID
}
