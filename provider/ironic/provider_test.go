package ironic_test

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/provider/ironic"
)

func source(t testing.TB, s *standin, change func(*ironic.Options)) *ironic.Provider {
	t.Helper()
	if s.images == nil {
		s.images = []map[string]any{{"id": "i1", "name": "debian", "status": "active"}, {"id": "i2", "name": "cirros", "status": "active"}}
	}
	o := ironic.Options{Session: s.session(t), Source: "metal", Installation: "inst", Dir: t.TempDir(), Image: "debian"}
	if change != nil {
		change(&o)
	}
	p, err := ironic.Open(t.Context(), slog.New(slog.DiscardHandler), o)
	do(t, err)
	return p
}

func create(t testing.TB, p *ironic.Provider, id compute.ID) compute.Instance {
	t.Helper()
	in, err := p.Create(t.Context(), compute.Spec{ID: id})
	do(t, err)
	return in
}

// TestMiss has an instance's life on a node that was free.
func TestMiss(t *testing.T) {
	s := newStandin(t)
	s.slow = true
	id := s.add(1, nil)
	p, sc := source(t, s, nil), scout(t, s, nil)
	in, err := p.Create(t.Context(), compute.Spec{ID: "metal-1", UserData: []byte("#!/bin/sh\necho hello\n")})
	do(t, err)
	if in.Facts[ironic.FactCached] != "miss" || in.ProviderID != id || in.Facts["memory"] != "34359738368" {
		t.Errorf(
			"in = %+v"+
				`; want in.Facts[ironic.FactCached] == "miss" and in.ProviderID == id and `+
				`in.Facts["memory"] == "34359738368"`,
			in,
		)
	}
	if again := create(t, p, "metal-1"); again.ProviderID != id {
		t.Errorf("again: %+v", again)
	}
	data, _ := s.get(id, "given", "user_data").(string)
	if keys, _ := s.get(id, "given", "meta_data", "public_keys").(map[string]any); len(keys) != 1 ||
		!strings.Contains(data, "echo hello") || !strings.Contains(data, "OPENSSH PRIVATE KEY") {
		t.Errorf("the config drive has %v", s.get(id, "given"))
	}
	if key, _ := s.get(id, "extra", "hostler", "host_key").(string); !strings.HasPrefix(key, "ssh-ed25519 ") {
		t.Errorf("its host key is %q", key)
	}
	if _, err := p.Connect(t.Context(), "metal-1"); !errors.Is(err, compute.ErrNotReady) {
		t.Errorf("while it is written: %v", err)
	}
	if n := nodes(t, sc)[0]; !n.Provisioned || !n.Used {
		t.Errorf("the scout sees %+v", n)
	}
	s.finish()
	do(t, p.Check(t.Context(), "metal-1"))
	do(t, p.Stop(t.Context(), "metal-1", 0))
	if err := p.Check(t.Context(), "metal-1"); !errors.Is(err, compute.ErrUnavailable) {
		t.Errorf("switched off: %v", err)
	}
	do(t, p.Start(t.Context(), "metal-1"))
	do(t, p.Check(t.Context(), "metal-1"))
	if all, err := p.List(t.Context()); err != nil || len(all) != 1 || all[0].ID != "metal-1" {
		t.Errorf(`all = %v, err = %v; want no error and len(all) == 1 and all[0].ID == "metal-1"`, all, err)
	}
	if err := commander(t, s).Eject(t.Context(), id); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("the cache takes a node that is used: %v", err)
	}
	do(t, p.Destroy(t.Context(), "metal-1"))
	if all, _ := p.List(t.Context()); len(all) != 1 { // it is being cleaned
		t.Errorf("while it is cleaned: %v", all)
	}
	do(t, p.Destroy(t.Context(), "metal-1"))
	s.finish()
	if err := p.Destroy(t.Context(), "metal-1"); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("at the end: %v", err)
	}
	if n := nodes(t, sc)[0]; !n.Free() {
		t.Errorf("the scout sees %+v", n)
	}
	create(t, p, "metal-2") // and the node goes round again
}

// TestHit takes a node that stands ready, whichever way, and leaves the others.
func TestHit(t *testing.T) {
	for _, f := range []ironic.FlavorRule{
		{Name: "any", Way: ironic.Deploy}, {Name: "any", Way: ironic.Allocate}, {Name: "any", Way: ironic.Passthru},
		{Name: "any", Way: ironic.Clean, Steps: []ironic.Step{{Interface: "deploy", Step: "write"}}},
	} {
		t.Run(string(f.Way), func(t *testing.T) {
			s := newStandin(t)
			s.add(1, nil)
			id := s.add(2, nil)
			s.images = []map[string]any{{"id": "i1", "name": "debian", "status": "active", "file": "/v2/images/i1/file"}}
			p, sc := source(t, s, nil), scout(t, s, nil, f)
			c := commanderFor(t, s, p, f)
			do(t, c.Cache(t.Context(), id, img))
			until(t, sc, id, "cached", standing)
			do(t, c.Close()) // it has nothing to do with what comes
			before := len(s.called())
			in := create(t, p, "metal-1")
			if in.ProviderID != id || in.Facts[ironic.FactCached] != "hit" {
				t.Errorf(
					"in = %+v, s.called() = %v"+
						`; want in.ProviderID == id and in.Facts[ironic.FactCached] == "hit"`,
					in, s.called(),
				)
			}
			for _, call := range s.called()[before:] {
				if f.Way == ironic.Deploy && call == "PUT node-2 active" {
					t.Error("it was written again")
				}
			}
			do(t, p.Check(t.Context(), "metal-1"))
			if again := create(t, p, "metal-1"); again.ProviderID != id || again.Facts[ironic.FactCached] != "hit" {
				t.Errorf("again: %+v", again)
			}
			if in = create(t, p, "metal-2"); in.Facts[ironic.FactCached] != "miss" {
				t.Errorf(`in = %+v; want in.Facts[ironic.FactCached] == "miss"`, in)
			}
			if _, err := p.Create(t.Context(), compute.Spec{ID: "metal-3"}); !errors.Is(err, compute.ErrNoCapacity) {
				t.Errorf("a third of two: %v", err)
			}
			do(t, p.Destroy(t.Context(), "metal-1"))
			if err := p.Destroy(t.Context(), "metal-1"); !errors.Is(err, compute.ErrNotFound) {
				t.Errorf("err = %v; want error compute.ErrNotFound", err)
			}
			until(t, sc, id, "free", func(n metal.Node) bool { return n.Free() })
		})
	}
}

// TestOneEach has many ask at once, of two processes: no node is given twice, and none is left.
func TestOneEach(t *testing.T) {
	s := newStandin(t)
	const most = 8
	for i := range most {
		extra := map[string]any{}
		if i < most/2 {
			extra["hostler"] = map[string]any{"image": "i1", "state": "cached", "way": "deploy", "installation": "inst"}
		}
		state := map[bool]string{true: "active", false: "available"}[i < most/2]
		s.add(i, map[string]any{"provision_state": state, "extra": extra})
	}
	told := func(o *ironic.Options) { o.IdentityFile, o.HostKey = "/key", "known-hosts" } // nothing
	ps := []*ironic.Provider{source(t, s, told), source(t, s, told)}
	var mu sync.Mutex
	given := map[string]compute.ID{}
	hits := 0
	var wg sync.WaitGroup
	for i := range most {
		wg.Go(func() {
			id := compute.ID("metal-" + string(rune('a'+i)))
			in, err := ps[i%2].Create(t.Context(), compute.Spec{ID: id})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("%s: err = %v; want no error", id, err)
				return
			}
			if other, twice := given[in.ProviderID]; twice {
				t.Errorf("%s and %s have the same node", id, other)
			}
			given[in.ProviderID] = id
			if in.Facts[ironic.FactCached] == "hit" {
				hits++
			}
		})
	}
	wg.Wait()
	if hits != most/2 {
		t.Errorf("%d hits", hits)
	}
}

// TestLastResort deploys onto a node that was kept with another image, when there is no other, and
// with user data onto one that was kept with this one.
func TestLastResort(t *testing.T) {
	s := newStandin(t)
	id := s.add(
		1,
		map[string]any{
			"provision_state": "active",
			"extra": map[string]any{"hostler": map[string]any{
				"image": "i2", "state": "cached", "way": "deploy", "installation": "inst",
			}},
		},
	)
	p := source(t, s, nil)
	if in := create(t, p, "metal-1"); in.ProviderID != id || in.Facts[ironic.FactCached] != "miss" ||
		s.get(id, "instance_info", "image_source") != "i1" {
		t.Errorf(
			"in = %+v"+
				`; want in.ProviderID == id and in.Facts[ironic.FactCached] == "miss" and s.get(id, `+
				`"instance_info", "image_source") == "i1"`,
			in,
		)
	}
	if calls := strings.Join(s.called(), ", "); !strings.Contains(calls, "PUT node-1 rebuild") {
		t.Errorf(`calls = %s; want calls with "PUT node-1 rebuild"`, calls)
	}
}

// TestRefused has Ironic refuse a deployment: the node is let go, and nothing is left of it.
func TestRefused(t *testing.T) {
	s := newStandin(t)
	id := s.add(1, nil)
	p := source(t, s, nil)
	s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		refuse(w, http.StatusBadRequest, "Failed to validate deploy info: the image is odd")
		return true
	})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "metal-1"}); err == nil || !strings.Contains(err.Error(), "the image is odd") {
		t.Errorf(`err = %v; want an error and err.Error() with "the image is odd"`, err)
	}
	if s.get(id, "instance_uuid") != nil {
		t.Error("it is still claimed")
	}
	s.intercept(nil)
	if err := p.Destroy(t.Context(), "metal-1"); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("err = %v; want error compute.ErrNotFound", err)
	}
	create(t, p, "metal-1")
}

// TestBadOptions names the option that is wrong.
func TestBadOptions(t *testing.T) {
	s := newStandin(t)
	for word, change := range map[string]func(*ironic.Options){
		"host-key": func(o *ironic.Options) { o.HostKey = "odd" }, "user-data": func(o *ironic.Options) { o.UserData = "odd" },
		"properties": func(o *ironic.Options) { o.Properties = []string{"a~("} }, "less": func(o *ironic.Options) { o.RateLimit = -1 },
	} {
		o := ironic.Options{Session: s.session(t), Source: "metal", Installation: "inst", Dir: t.TempDir()}
		change(&o)
		if _, err := ironic.Open(t.Context(), slog.New(slog.DiscardHandler), o); !errors.Is(err, compute.ErrInvalid) ||
			!strings.Contains(err.Error(), word) {
			t.Errorf("%s: err = %v; want error compute.ErrInvalid and err.Error() with word", word, err)
		}
	}
}
