package ironic_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/provider/ironic"
)

var img = metal.Image{ID: "i1", Name: "debian", Checksum: "abc"}

func commander(t testing.TB, s *standin, flavors ...ironic.FlavorRule) *ironic.Commander {
	t.Helper()
	c, err := ironic.NewCommander(ironic.CommanderOptions{
		Session: s.session(t), Installation: "inst", Flavors: flavors, Poll: 5 * time.Millisecond,
		Keys: []string{"ssh-ed25519 AAAA"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// commanderFor is one whose hot standbys are for a source.
func commanderFor(t testing.TB, s *standin, p *ironic.Provider, flavors ...ironic.FlavorRule) *ironic.Commander {
	t.Helper()
	c, err := ironic.NewCommander(standbys(
		t, p,
		ironic.CommanderOptions{Session: s.session(t), Installation: "inst", Flavors: flavors, Poll: 5 * time.Millisecond},
	))
	do(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// standbys has them told what a source tells.
func standbys(t testing.TB, p *ironic.Provider, o ironic.CommanderOptions) ironic.CommanderOptions {
	t.Helper()
	key, err := p.PublicKey()
	do(t, err)
	if key != "" {
		o.Keys = []string{key}
	}
	o.UserData, err = p.UserData()
	do(t, err)
	o.HostKey = p.GivesHostKeys()
	return o
}

func do(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until waits for a node to be seen as it shall be.
func until(t testing.TB, sc *ironic.Scout, id, what string, ok func(metal.Node) bool) metal.Node {
	t.Helper()
	var n metal.Node
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for _, n = range nodes(t, sc) {
			if n.ID == id && ok(n) {
				return n
			}
		}
	}
	t.Fatalf("no node %s that is %s; the last one seen: %+v", id, what, n)
	return n
}

func standing(n metal.Node) bool {
	return n.Cached && !n.Writing && !n.Provisioned && n.Image == "i1" && n.Failed == ""
}

// TestWays has each way from a free node to one that has the image, and back to a free one.
func TestWays(t *testing.T) {
	for _, f := range []ironic.FlavorRule{
		{Name: "any", Way: ironic.Deploy},
		{Name: "any", Way: ironic.Allocate},
		{Name: "any", Way: ironic.Prefetch},
		{Name: "any", Way: ironic.Passthru},
		{
			Name: "any", Way: ironic.Clean,
			Steps: []ironic.Step{{Interface: "deploy", Step: "write", Args: map[string]any{"image": "{image}", "url": "{url}", "n": 3}}},
		},
	} {
		t.Run(string(f.Way), func(t *testing.T) {
			s := newStandin(t)
			s.images = []map[string]any{
				{"id": "i1", "name": "debian", "status": "active", "file": "/v2/images/i1/file"},
				{"id": "i2", "name": "debian", "status": "active", "file": "/v2/images/i2/file"},
			}
			id := s.add(1, nil)
			sc, c := scout(t, s, nil, f), commander(t, s, f)
			do(t, c.Cache(t.Context(), id, img))
			n := until(t, sc, id, "cached", standing)
			if n.Writes != 1 || n.Since.IsZero() {
				t.Errorf("n = %+v; want n.Writes == 1 and !n.Since.IsZero()", n)
			}
			before := s.called()
			do(t, c.Cache(t.Context(), id, img)) // again: nothing
			if now := s.called(); !slices.Equal(before, now) {
				t.Errorf("told again it did %v", now[len(before):])
			}
			if err := c.Cache(t.Context(), id, metal.Image{ID: "i2"}); f.Way != ironic.Prefetch &&
				f.Way != ironic.Passthru && f.Way != ironic.Clean && !errors.Is(err, compute.ErrConflict) {
				t.Errorf("another image onto it: %v", err)
			} else if err == nil {
				until(t, sc, id, "cached anew", func(n metal.Node) bool { return n.Cached && !n.Writing && n.Image == "i2" })
			}
			do(t, c.Eject(t.Context(), id))
			do(t, c.Eject(t.Context(), id))
			n = until(t, sc, id, "free", func(n metal.Node) bool { return n.Free() })
			if n.Image != "" || n.Writes == 0 {
				t.Errorf(`n = %+v; want n.Image == "" and n.Writes != 0`, n)
			}
			if s.get(id, "instance_uuid") != nil || len(s.allocs) != 0 {
				t.Errorf("a claim is left: %v, %v", s.get(id, "instance_uuid"), s.allocs)
			}
			do(t, c.Cache(t.Context(), id, img))
			if n = until(t, sc, id, "cached once more", standing); n.Writes < 2 {
				t.Errorf("%d writes", n.Writes)
			}
		})
	}
}

func TestWayArguments(t *testing.T) {
	s := newStandin(t)
	s.slow = true
	s.images = []map[string]any{{"id": "i1", "name": "debian", "status": "active", "file": "/v2/images/i1/file"}}
	pass := ironic.FlavorRule{Name: "p", Class: "p", Way: ironic.Passthru}
	p, d := s.add(1, map[string]any{"resource_class": "p"}), s.add(2, nil)
	c := commander(t, s, pass)
	do(t, c.Cache(t.Context(), p, img))
	info, _ := s.get(p, "given").(map[string]any)["image_info"].(map[string]any)
	if urls, _ := info["urls"].([]any); info["id"] != "i1" || info["checksum"] != "abc" || len(urls) != 1 ||
		urls[0] != s.URL+"/image/v2/images/i1/file" {
		t.Errorf("the vendor's call had %v", info)
	}
	do(t, c.Cache(t.Context(), d, img))
	meta, _ := s.get(d, "given", "meta_data").(map[string]any)
	if keys, _ := meta["public_keys"].(map[string]any); len(keys) != 1 || meta["name"] == "" ||
		s.get(d, "instance_info", "image_source") != "i1" {
		t.Errorf("the deployment had %v", s.get(d, "given"))
	}
}

// TestBusy does nothing to nodes that are not ours to command.
func TestBusy(t *testing.T) {
	s := newStandin(t)
	theirs := map[string]any{"hostler": map[string]any{"image": "i1", "state": "cached", "way": "deploy", "installation": "other"}}
	used := map[string]any{"hostler": map[string]any{
		"image": "i1", "state": "cached", "way": "deploy", "installation": "inst", "instance": "metal-1",
	}}
	for i, b := range []map[string]any{
		{"maintenance": true}, {"protected": true, "provision_state": "active"},
		{"provision_state": "active", "instance_uuid": uuid(9)}, {"fault": "power failure"},
		{"instance_uuid": uuid(8)}, {"provision_state": "active", "extra": theirs},
		{"provision_state": "active", "extra": used, "instance_uuid": uuid(7)}, {"provision_state": "enroll"},
	} {
		s.add(i, b)
	}
	c := commander(t, s)
	for i := range len(s.order) {
		if err := c.Cache(t.Context(), uuid(i), img); !errors.Is(err, compute.ErrConflict) {
			t.Errorf("cache on node %d: %v", i, err)
		}
		if err := c.Eject(t.Context(), uuid(i)); !errors.Is(err, compute.ErrConflict) && i != 4 || i == 4 && err != nil {
			t.Errorf("eject node %d: %v", i, err)
		}
	}
	if calls := s.called(); len(calls) != 0 {
		t.Errorf("it did %v", calls)
	}
	if err := c.Cache(t.Context(), uuid(99), img); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("no such node: %v", err)
	}
}

// TestFaster has somebody else claim a node between our look and our claim.
func TestFaster(t *testing.T) {
	s := newStandin(t)
	id := s.add(1, nil)
	c := commander(t, s)
	s.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch {
			s.with(id, func(n map[string]any) { n["instance_uuid"] = uuid(9) })
		}
		return false
	})
	if err := c.Cache(t.Context(), id, img); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("err = %v; want error compute.ErrConflict", err)
	}
	if s.get(id, "instance_uuid") != uuid(9) || s.get(id, "provision_state") != "available" || s.get(id, "extra", "hostler") != nil {
		t.Errorf("the node is %v", s.nodes[id])
	}
}

// TestLocked waits for a node that another operation holds.
func TestLocked(t *testing.T) {
	s := newStandin(t)
	id := s.add(1, nil)
	c, sc := commander(t, s), scout(t, s, nil)
	var n atomic.Int64
	s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || n.Add(1) > 3 {
			return false
		}
		refuse(w, http.StatusConflict, "Node %s is locked by host c1, please retry after the current operation is completed.", id)
		return true
	})
	do(t, c.Cache(t.Context(), id, img))
	until(t, sc, id, "cached", standing)
}

// TestFails has a deployment fail: it is seen, ejected, and tried again.
func TestFails(t *testing.T) {
	s := newStandin(t)
	s.deployErr = "the disk is gone"
	id := s.add(1, nil)
	c, sc := commander(t, s), scout(t, s, nil)
	do(t, c.Cache(t.Context(), id, img))
	n := until(t, sc, id, "failed", func(n metal.Node) bool { return n.Failed != "" })
	if !strings.Contains(n.Failed, "the disk is gone") || !n.Cached || n.Image != "" {
		t.Errorf(`n = %+v; want n.Failed with "the disk is gone" and n.Cached and n.Image == ""`, n)
	}
	s.mu.Lock()
	s.deployErr = ""
	s.mu.Unlock()
	do(t, c.Eject(t.Context(), id))
	// or it would count as one that could not be wiped
	if n = until(t, sc, id, "free", func(n metal.Node) bool { return n.Free() }); n.Failed != "" {
		t.Errorf("after it was wiped: %+v", n)
	}
	do(t, c.Cache(t.Context(), id, img))
	until(t, sc, id, "cached", standing)
}

// TestCleanFails has what is ejected get stuck in its cleaning: it can be ejected again, which
// Ironic takes another way for.
func TestCleanFails(t *testing.T) {
	for _, way := range []ironic.Way{ironic.Deploy, ironic.Allocate} {
		// somebody let it out of the first
		for _, state := range []string{"clean failed", "manageable"} {
			s := newStandin(t)
			f := ironic.FlavorRule{Name: "any", Way: way}
			id := s.add(1, nil)
			c, sc := commander(t, s, f), scout(t, s, nil, f)
			do(t, c.Cache(t.Context(), id, img))
			until(t, sc, id, "cached", func(n metal.Node) bool { return n.Cached && n.Image == img.ID && !n.Writing })
			s.mu.Lock()
			s.cleanErr = "its cleaning cannot be resumed"
			s.mu.Unlock()
			do(t, c.Eject(t.Context(), id))
			until(t, sc, id, "failed", func(n metal.Node) bool { return n.Failed == "its cleaning cannot be resumed" })
			s.mu.Lock()
			s.cleanErr = ""
			s.nodes[id]["provision_state"] = state
			s.mu.Unlock()
			do(t, c.Eject(t.Context(), id))
			until(t, sc, id, string(way)+" free from "+state, func(n metal.Node) bool { return n.Free() && n.Failed == "" })
			do(t, c.Cache(t.Context(), id, img))
			until(t, sc, id, "cached again", func(n metal.Node) bool { return n.Cached && n.Image == img.ID && !n.Writing })
		}
	}
}

// TestDiesBetween has a process die after each of its requests; the next one ends with the image on
// the node, which was deployed once.
func TestDiesBetween(t *testing.T) {
	for _, f := range []ironic.FlavorRule{
		{Name: "any"}, {Name: "any", Way: ironic.Allocate}, {Name: "any", Way: ironic.Prefetch},
		{Name: "any", Way: ironic.Clean, Steps: []ironic.Step{{Interface: "deploy", Step: "write"}}},
	} {
		for after := range 5 {
			s := newStandin(t)
			id := s.add(1, nil)
			sc := scout(t, s, nil, f)
			var n atomic.Int64
			s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
				change := r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "tokens")
				if !change || n.Add(1) <= int64(after) {
					return false
				}
				// what is sent after its death does not arrive
				w.WriteHeader(http.StatusInternalServerError)
				return true
			})
			c := commander(t, s, f)
			_ = c.Cache(t.Context(), id, img)
			if after > 0 {
				for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end) &&
					n.Load() <= int64(after); time.Sleep(time.Millisecond) {
				}
			}
			do(t, c.Close())
			s.intercept(nil)
			do(t, commander(t, s, f).Cache(t.Context(), id, img))
			until(t, sc, id, string(f.Way)+" cached after all", standing)
			deployed := 0
			for _, call := range s.called() {
				if call == "PUT node-1 active" || call == "PUT node-1 clean" {
					deployed++
				}
			}
			if deployed != 1 {
				t.Errorf("%s, dead after %d requests: written %d times: %v", f.Way, after, deployed, s.called())
			}
		}
	}
}

// TestOldMarks ejects what Arsenal left.
func TestOldMarks(t *testing.T) {
	s := newStandin(t)
	id := s.add(1, map[string]any{"driver_info": map[string]any{"cache_status": "cached", "cache_image_id": "old"}})
	c, sc := commander(t, s), scout(t, s, nil)
	if n := nodes(t, sc)[0]; !n.Cached || n.Image != "old" || n.Provisioned {
		t.Errorf(`n = %+v; want n.Cached and n.Image == "old" and !n.Provisioned`, n)
	}
	do(t, c.Eject(t.Context(), id))
	until(t, sc, id, "free", func(n metal.Node) bool { return n.Free() && n.Image == "" })
	if got := s.called(); !slices.Equal(got, []string{"PATCH node-1", "PUT node-1 manage", "PATCH node-1", "PUT node-1 provide"}) {
		t.Errorf(`got = %v; want got == []string{"PATCH node-1", "PUT node-1 manage", "PATCH node-1", "PUT node-1 provide"}`, got)
	}
}

// all are the ways, each a flavor of any node.
var all = []ironic.FlavorRule{
	{Name: "any"}, {Name: "any", Way: ironic.Allocate}, {Name: "any", Way: ironic.Prefetch}, {Name: "any", Way: ironic.Passthru},
	{Name: "any", Way: ironic.Clean, Steps: []ironic.Step{{Interface: "deploy", Step: "write"}}},
}

// written counts how often a node was told to write.
func written(s *standin) (n int) {
	for _, call := range s.called() {
		if call == "PUT node-1 active" || call == "PUT node-1 clean" || call == "CACHE node-1" {
			n++
		}
	}
	return n
}

// withImages has an image at the image service.
func withImages(s *standin) *standin {
	s.images = []map[string]any{{"id": "i1", "name": "debian", "status": "active", "file": "/v2/images/i1/file"}}
	return s
}

// changes tells requests that change something.
func changes(r *http.Request) bool {
	return r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "/tokens")
}

// TestResumesClaimed has a process die after each of its requests, and nobody ask for the image
// again, as the directive counts as begun: who resumes brings it to its end, and writes it once. A
// node that was let go, or not yet claimed, stays free.
func TestResumesClaimed(t *testing.T) {
	for _, f := range all {
		for after := range 5 {
			s := withImages(newStandin(t))
			id := s.add(1, nil)
			sc := scout(t, s, nil, f)
			var n atomic.Int64
			s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if !changes(r) || n.Add(1) <= int64(after) {
					return false
				}
				// what is sent after its death does not arrive
				w.WriteHeader(http.StatusInternalServerError)
				return true
			})
			c := commander(t, s, f)
			_ = c.Cache(t.Context(), id, img)
			do(t, c.Close())
			s.intercept(nil)
			if s.get(id, "extra", "hostler") == nil {
				continue // it was not marked, and another will do
			}
			c = commander(t, s, f)
			do(t, c.Resume(t.Context()))
			if left := c.Finish(t.Context(), time.Minute); len(left) > 0 {
				t.Errorf("left %v", left)
			}
			until(t, sc, id, string(f.Way)+" cached after all", standing)
			// of a vendor's call nobody can see whether it was heard
			if got := written(s); got != 1 && (f.Way != ironic.Passthru || got != 2) {
				t.Errorf("%s, dead after %d requests: written %d times: %v", f.Way, after, got, s.called())
			}
		}
	}
}

// TestLostAnswer has each request that changes something go without an answer, once before and once
// after it was served. The same process brings the image onto the node, unasked.
func TestLostAnswer(t *testing.T) {
	for _, f := range all {
		for _, served := range []bool{false, true} {
			for at := int64(1); at <= 4; at++ {
				s := withImages(newStandin(t))
				id := s.add(1, nil)
				sc := scout(t, s, nil, f)
				var n atomic.Int64
				s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
					if !changes(r) || n.Add(1) != at {
						return false
					}
					if served {
						s.serve(&discard{}, r) // which is not intercepted: it is beyond at
					}
					refuse(w, http.StatusInternalServerError, "Timed out waiting for a reply to message ID 1")
					return true
				})
				c := commander(t, s, f)
				_ = c.Cache(t.Context(), id, img)
				if left := c.Finish(t.Context(), time.Minute); len(left) > 0 {
					t.Errorf("left %v", left)
				}
				if s.get(id, "extra", "hostler") == nil {
					continue // it was not marked: where it is claimed, the director lets it go
				}
				until(
					t, sc, id,
					fmt.Sprintf("%s, without an answer to request %d, served %t: cached after all", f.Way, at, served),
					standing,
				)
				// of a vendor's call nobody can see whether it was heard
				if got := written(s); got > 1 && f.Way != ironic.Passthru {
					t.Errorf("%s: written %d times: %v", f.Way, got, s.called())
				}
			}
		}
	}
}

// discard is where an answer goes that nobody gets.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header {
	if d.header == nil {
		d.header = http.Header{}
	}
	return d.header
}
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// TestAllocatedTaken has somebody be given a standby of the way allocate, which is whose mark was
// written last, while it is to be ejected: before the commander has written, while the node is
// locked, or just after. It is not touched.
func TestAllocatedTaken(t *testing.T) {
	for _, before := range []bool{true, false} {
		f := ironic.FlavorRule{Name: "any", Way: ironic.Allocate}
		s := newStandin(t)
		id := s.add(1, nil)
		sc, c := scout(t, s, nil, f), commander(t, s, f)
		do(t, c.Cache(t.Context(), id, img))
		until(t, sc, id, "cached", standing)
		give := func() {
			s.with(id, func(n map[string]any) {
				extra, _ := n["extra"].(map[string]any)
				mark, _ := extra["hostler"].(map[string]any)
				taken := map[string]any{"instance": "web-1", "source": "metal"}
				for k, v := range mark {
					if _, there := taken[k]; !there {
						taken[k] = v
					}
				}
				extra["hostler"] = taken
			})
		}
		var given atomic.Bool
		s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if !changes(r) || !given.CompareAndSwap(false, true) {
				return false
			}
			if before {
				refuse(w, http.StatusConflict, "Node %s is locked by host c1, please retry after the current operation is completed.", id)
			} else {
				s.serve(w, r)
			}
			give()
			return true
		})
		if err := c.Eject(t.Context(), id); !errors.Is(err, compute.ErrConflict) {
			t.Errorf("given before: %t: %v", before, err)
		}
		if slices.Contains(s.called(), "PUT node-1 deleted") || s.get(id, "extra", "hostler", "instance") != "web-1" {
			t.Errorf("given before: %t: somebody's node is wiped: %v, %v", before, s.called(), s.get(id, "extra"))
		}
	}
}

// TestEjectLost has each request of an ejection go without having been served, as of a process that
// dies there. The director's next look shows that there is something to eject, and the next
// ejection ends with a free node.
func TestEjectLost(t *testing.T) {
	for _, f := range append(slices.Clone(all), ironic.FlavorRule{}) {
		for at := int64(1); at <= 5; at++ {
			s := withImages(newStandin(t))
			var flavors []ironic.FlavorRule
			old := map[string]any(nil)
			if f.Name != "" {
				flavors = append(flavors, f)
			} else { // one that Arsenal left
				old = map[string]any{"driver_info": map[string]any{"cache_status": "cached", "cache_image_id": "i1"}}
			}
			id := s.add(1, old)
			sc, c := scout(t, s, nil, flavors...), commander(t, s, flavors...)
			if f.Name != "" {
				do(t, c.Cache(t.Context(), id, img))
			}
			until(t, sc, id, "cached", standing)
			var n atomic.Int64
			s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if !changes(r) || n.Add(1) < at {
					return false
				}
				refuse(w, http.StatusInternalServerError, "it is not there")
				return true
			})
			err := c.Eject(t.Context(), id)
			s.intercept(nil)
			if n := nodes(t, sc)[0]; err != nil && (n.Provisioned || !n.Cached) {
				t.Errorf("way %q, from request %d on nothing was served: nobody would eject what is left: %+v", f.Way, at, n)
				continue
			}
			c = commander(t, s, flavors...)
			for range 2 { // rounds: the first may find no more than a claim to let go
				do(t, c.Eject(t.Context(), id))
			}
			until(t, sc, id, "free", func(n metal.Node) bool { return n.Free() && n.Image == "" })
			if s.get(id, "instance_uuid") != nil || s.get(id, "driver_info", "cache_status") != nil {
				t.Errorf("way %q, request %d: a claim or a mark is left: %v", f.Way, at, s.get(id))
			}
		}
	}
}

// TestEjectManaged leaves a node alone that was ejected, and that somebody has put to manageable
// since.
func TestEjectManaged(t *testing.T) {
	f := ironic.FlavorRule{Name: "any", Way: ironic.Passthru}
	s := withImages(newStandin(t))
	id := s.add(1, nil)
	sc, c := scout(t, s, nil, f), commander(t, s, f)
	do(t, c.Cache(t.Context(), id, img))
	until(t, sc, id, "cached", standing)
	do(t, c.Eject(t.Context(), id))
	until(t, sc, id, "free", func(n metal.Node) bool { return n.Free() })
	s.with(id, func(n map[string]any) {
		n["provision_state"], n["provision_updated_at"] = "manageable", "2026-11-21T23:22:28+00:00"
	})
	if n := nodes(t, sc)[0]; !n.Provisioned {
		t.Errorf("it is to be had: %+v", n)
	}
	before := len(s.called())
	if err := c.Eject(t.Context(), id); !errors.Is(err, compute.ErrConflict) || len(s.called()) > before {
		t.Errorf(
			"%v: s.called()[before:] = %v"+
				"; want error compute.ErrConflict and len(s.called()) <= before",
			err, s.called()[before:],
		)
	}
}

// TestOthers leaves what another installation has on a node, whatever the director has seen there
// before.
func TestOthers(t *testing.T) {
	f := ironic.FlavorRule{Name: "any", Way: ironic.Passthru}
	s := withImages(newStandin(t))
	id := s.add(
		1,
		map[string]any{"extra": map[string]any{"hostler": map[string]any{
			"image": "i9", "state": "cached", "way": "passthru", "installation": "theirs",
			"since": "2026-11-21T22:22:28Z",
		}}},
	)
	c := commander(t, s, f)
	if err := c.Cache(t.Context(), id, img); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("an image onto it: %v", err)
	}
	if err := c.Eject(t.Context(), id); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("ejected: %v", err)
	}
	if got := s.called(); len(got) > 0 {
		t.Errorf("got = %v; want len(got) <= 0", got)
	}
}
