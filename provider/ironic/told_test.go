package ironic_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ironic"
)

// TestTold has a hot standby know its source's key, its source's user data and its own host key
// before anybody asks for it, and whoever gets it knows the host key.
func TestTold(t *testing.T) {
	s := newStandin(t)
	id := s.add(1, nil)
	file := filepath.Join(t.TempDir(), "user-data")
	do(t, os.WriteFile(file, []byte("#!/bin/sh\necho of the source\n"), 0o600))
	p := source(t, s, func(o *ironic.Options) { o.UserData = file })
	sc, c := scout(t, s, nil), commanderFor(t, s, p)
	do(t, c.Cache(t.Context(), id, img))
	until(t, sc, id, "cached", standing)
	data, _ := s.get(id, "given", "user_data").(string)
	if keys, _ := s.get(id, "given", "meta_data", "public_keys").(map[string]any); len(keys) != 1 ||
		!strings.Contains(data, "echo of the source") || !strings.Contains(data, "OPENSSH PRIVATE KEY") {
		t.Errorf("it was told %v", s.get(id, "given"))
	}
	before, _ := s.get(id, "extra", "hostler", "host_key").(string)
	if in := create(t, p, "metal-1"); in.ProviderID != id || in.Facts[ironic.FactCached] != "hit" {
		t.Errorf(`in = %+v; want in.ProviderID == id and in.Facts[ironic.FactCached] == "hit"`, in)
	}
	if after, _ := s.get(id, "extra", "hostler", "host_key").(string); !strings.HasPrefix(after, "ssh-ed25519 ") || after != before {
		t.Errorf("its host key was %q, and is %q", before, after)
	}
}

// TestToldMore has requests and sources for which a hot standby will not do, as it was told too
// little: it is none of theirs, and the last that they get, rebuilt.
func TestToldMore(t *testing.T) {
	data := func(text string) func(t *testing.T) func(*ironic.Options) {
		return func(t *testing.T) func(*ironic.Options) {
			file := filepath.Join(t.TempDir(), "user-data")
			do(t, os.WriteFile(file, []byte("#!/bin/sh\necho "+text+"\n"), 0o600))
			return func(o *ironic.Options) { o.UserData = file }
		}
	}
	for what, c := range map[string]struct {
		spec   compute.Spec
		source func(t *testing.T) func(*ironic.Options) // of who asks; nil: as the standby's
		// nobody of that source is helped by the standby
		stale bool
	}{
		"a request's user data":  {spec: compute.Spec{UserData: []byte("#!/bin/sh\necho more\n")}},
		"the source's user data": {source: data("other"), stale: true},
		"the source's key": {
			source: func(*testing.T) func(*ironic.Options) { return func(o *ironic.Options) { o.IdentityFile = "/key" } },
			stale:  true,
		},
		"another key of a source": {
			source: func(t *testing.T) func(*ironic.Options) { return func(o *ironic.Options) { o.Dir = t.TempDir() } },
			stale:  true,
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := newStandin(t)
			ready := s.add(1, nil)
			own := source(t, s, nil)
			sc := scout(t, s, nil)
			do(t, commanderFor(t, s, own).Cache(t.Context(), ready, img))
			until(t, sc, ready, "cached", standing)
			other := s.add(2, nil)
			p := own
			if c.source != nil {
				p = source(t, s, c.source(t))
			}
			strict, err := ironic.NewScout(ironic.ScoutOptions{Session: s.session(t), Installation: "inst", For: p})
			do(t, err)
			if n := nodes(t, strict)[0]; (n.Image == "") != c.stale || !n.Cached || n.Provisioned {
				t.Errorf("its scout sees %+v", n)
			}
			if n := nodes(t, sc)[0]; !standing(n) {
				t.Errorf("a scout of no source sees %+v", n)
			}
			for i, want := range []string{other, ready} {
				spec := c.spec
				spec.ID = compute.ID("metal-" + string(rune('a'+i)))
				in, err := p.Create(t.Context(), spec)
				do(t, err)
				if in.ProviderID != want || in.Facts[ironic.FactCached] != "miss" {
					t.Errorf(`in = %+v; want in.ProviderID == want and in.Facts[ironic.FactCached] == "miss"`, in)
				}
			}
			if calls := strings.Join(s.called(), ", "); !strings.Contains(calls, "PUT node-1 rebuild") ||
				!strings.Contains(calls, "PUT node-2 active") {
				t.Error(calls)
			}
			if text, _ := s.get(ready, "given", "user_data").(string); len(c.spec.UserData) > 0 && !strings.Contains(text, "echo more") {
				t.Errorf("the one that was rebuilt was told %s", text)
			}
		})
	}
}

// TestNoHostKey has a standby that never was told its host key: where host keys are given it is not
// handed out as it stands, and where the files of known hosts say them it is.
func TestNoHostKey(t *testing.T) {
	for from, hit := range map[string]string{"given": "miss", "known-hosts": "hit"} {
		s := newStandin(t)
		id := s.add(1, nil)
		p := source(t, s, func(o *ironic.Options) { o.HostKey = from })
		o := standbys(t, p, ironic.CommanderOptions{Session: s.session(t), Installation: "inst"})
		o.HostKey = false
		c, err := ironic.NewCommander(o)
		do(t, err)
		do(t, c.Cache(t.Context(), id, img))
		until(t, scout(t, s, nil), id, "cached", standing)
		do(t, c.Close())
		if in := create(t, p, "metal-1"); in.Facts[ironic.FactCached] != hit {
			t.Errorf("host-key = %s: %+v", from, in)
		}
	}
}
