package master_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/legacy"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
	"github.com/hostler-project/hostler/slapos/slaptest"
)

const forwarded = "https://software.example/forwarded/software.cfg"

// two are a master that passes requests on, and the one to which it does.
func two(t *testing.T) (local, external *rig, at string) {
	t.Helper()
	external = newRig(t, master.Options{Computer: "COMP-EXT"})
	srv := httptest.NewServer(legacy.New(external.Master, wire.Options{}))
	t.Cleanup(srv.Close)
	at = srv.URL + "/"
	local = newRig(t, master.Options{Computer: "COMP-LAB", Masters: []master.External{{URL: at, Releases: []string{forwarded}}}})
	for r, guid := range map[*rig]string{local: "COMP-LAB", external: "COMP-EXT"} {
		c := &proto.Configuration{Computer: guid}
		for i, partition := range []string{"slappart0", "slappart1", "slappart2"} {
			if r == external && i == 2 {
				break
			}
			c.Partitions = append(c.Partitions, proto.ConfiguredPartition{ID: partition, Interface: "slaptap" + partition[len("slappart"):],
				Addresses: []proto.ConfiguredAddress{{IP: "10.0.0." + string(rune('1'+i)), Netmask: "255.255.255.255"}}})
		}
		if err := r.Computers.Format(t.Context(), access.Anybody, c); err != nil {
			t.Fatal(err)
		}
	}
	return local, external, at
}

func TestReplayMultimaster(t *testing.T) {
	all := slaptest.Exchanges(t, "multimaster/local-master")
	local, _, at := two(t)
	h := legacy.New(local.Master, wire.Options{})
	there := strings.TrimSuffix(strings.TrimPrefix(at, "http://"), "/")
	asked := 0
	for _, e := range all {
		if e.Path != "/requestComputerPartition" {
			continue
		}
		asked++
		e.Body = strings.ReplaceAll(e.Body, url.QueryEscape("127.0.0.1:15003"), url.QueryEscape(there))
		e.Answer = strings.ReplaceAll(e.Answer, "127.0.0.1:15003", there)
		status, body := send(t, h, e)
		if e.N == 7 { // 2.6: what the other master does not find is not found, and no fault of ours
			if status != http.StatusNotFound || !strings.Contains(string(body), "No free computer partition found for: user_ext three") {
				t.Errorf(
					"%s: status = %d body = %s"+
						`; want status == http.StatusNotFound and string(body) with "No free computer partition `+
						`found for: user_ext three"`,
					e.Name(), status, body,
				)
			}
			continue
		}
		if e.N == 8 { // 2.3 Ours: a change of state alone keeps the parameters
			e.Answer = keeps(e.Answer)
		}
		if diff := equivalent(e, status, body); diff != "" {
			t.Errorf(`%s: diff = %s; want diff == ""`, e.Name(), diff)
		}
	}
	if asked != 6 {
		t.Errorf("%d requests", asked)
	}
}

// keeps is an answer with the parameter that the request before had.
func keeps(answer string) string {
	const at = `<string>timestamp</string>`
	return strings.Replace(answer, at, "<string>a</string><string>b</string>"+at, 1)
}

func TestReplayExternal(t *testing.T) {
	_, external, _ := two(t)
	h := legacy.New(external.Master, wire.Options{})
	for _, e := range slaptest.Exchanges(t, "multimaster/external-master") {
		if e.Path != "/requestComputerPartition" {
			continue
		}
		status, body := send(t, h, e)
		if e.N == 15 { // 2.3 Ours: the same
			e.Answer = keeps(e.Answer)
		}
		if diff := equivalent(e, status, body); diff != "" {
			t.Errorf(`%s: diff = %s; want diff == ""`, e.Name(), diff)
		}
	}
}

// What another master cannot say yet, or refuses, or says of itself.
func TestForwardAnswers(t *testing.T) {
	status := http.StatusRequestTimeout
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/getRunId" {
			_, _ = w.Write([]byte("another"))
			return
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte("<p>Resource not ready</p>"))
	}))
	defer srv.Close()
	r := newRig(
		t,
		master.Options{
			Computer: "C",
			Masters: []master.External{
				{URL: srv.URL, Releases: []string{forwarded}},
				{URL: "https://safe.example/", Releases: []string{"safe"}},
			},
		},
	)
	says := "Resource not ready (the master " + strings.TrimPrefix(srv.URL, "http://") + " says so)"
	for _, c := range []struct {
		status int
		kind   error
	}{
		{408, client.ErrNotReady}, {403, compute.ErrDenied}, {404, compute.ErrNotFound}, {400, compute.ErrInvalid},
		{500, compute.ErrUnavailable},
	} {
		status = c.status
		r.refused(proto.Request{Title: "a", Release: forwarded}, c.kind, says)
		r.refused(proto.Request{Title: "a", Filter: proto.Dictionary{"master_url": srv.URL + "/"}}, c.kind, says)
	}
	r.refused(proto.Request{Title: "a", Filter: proto.Dictionary{"master_url": "http://127.0.0.1:9/"}}, compute.ErrNotFound,
		"External SlapOS Master URL http://127.0.0.1:9/ is not listed in multimaster list.")
	r.refused(proto.Request{Title: "a", Release: "safe"}, compute.ErrNotFound,
		"External SlapOS Master URL https://safe.example/ is https, and its section [multimaster/https://safe.example/] has no key and cert.")
}

// A request that names this master as another one is answered here.
func TestForwardToItself(t *testing.T) {
	r := newRig(t, master.Options{Computer: "C"})
	r.format("C", 1)
	q := proto.Request{Title: "a", Release: demo, Filter: proto.Dictionary{"master_url": "http://me.example/"}}
	a, err := r.Requests.Request(master.WithBase(t.Context(), "http://me.example"), access.Anybody, &q)
	if err != nil || a.Partition != "p0" {
		t.Errorf(`a = %+v, err = %v; want no error and a.Partition == "p0"`, a, err)
	}
}

// A caller that a master knows has its own instances at another master too, whatever titles others
// take.
func TestForwardApart(t *testing.T) {
	local, external, _ := two(t)
	ctx := t.Context()
	seen := map[string]bool{}
	ask := func(who access.Who, q proto.Request) error {
		q.Release = forwarded
		a, err := local.Requests.Request(ctx, who, &q)
		if err == nil {
			n, err := proto.ReadInstance(a.Object)
			if err != nil {
				t.Fatal(err)
			}
			seen[n.Partition] = true
		}
		return err
	}
	for _, user := range []string{"ann", "ann", "bob"} {
		if err := ask(access.Who{User: user}, proto.Request{Title: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 2 {
		t.Errorf("two users have %d instances", len(seen))
	}
	local.ask(proto.Request{Title: "root"}) // in slappart0
	for _, who := range []access.Who{{Computer: "COMP-LAB"}, {}} {
		err := ask(who, proto.Request{Title: "x", Computer: "COMP-LAB", Partition: "slappart0"})
		want := compute.ErrNotFound // as there is no room any more for another one
		if who.Computer == "" {
			want = compute.ErrDenied
		}
		if !errors.Is(err, want) {
			t.Errorf("%+v: err = %v; want error want", who, err)
		}
	}
	titles := external.waiting()
	slices.Sort(titles)
	if want := []string{"node:COMP-LAB:slappart0:_x", "user:ann::_x", "user:bob::_x"}; !slices.Equal(titles, want) {
		t.Errorf("titles = %q; want titles == want", titles)
	}
}

// waiting are the titles of all roots, with those that have no place.
func (r *rig) waiting() (titles []string) {
	r.t.Helper()
	all, err := r.Instances.Trees(r.t.Context(), access.Anybody, true)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, n := range all {
		titles = append(titles, n.Record.Title)
	}
	return titles
}

// TestForwardsNothingToItself: a master that lists itself, by another of its names, for some
// releases places these.
func TestForwardsNothingToItself(t *testing.T) {
	var h http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	m := newRig(t, master.Options{Masters: []master.External{{URL: srv.URL, Releases: []string{forwarded}}}})
	m.format("C", 1)
	h = legacy.New(m.Master, wire.Options{})
	form, err := (&proto.Request{Title: "own", Release: forwarded}).Form()
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"another.example", strings.TrimPrefix(srv.URL, "http://")} {
		r := httptest.NewRequestWithContext(
			t.Context(), http.MethodPost, "http://"+host+"/requestComputerPartition", strings.NewReader(form.Encode()),
		)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<string>C-p0</string>") {
			t.Errorf("asked as %s: %d %s", host, w.Code, w.Body)
		}
	}
}
