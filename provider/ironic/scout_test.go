package ironic_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/provider/ironic"
)

func scout(t testing.TB, s *standin, images []ironic.ImageRule, flavors ...ironic.FlavorRule) *ironic.Scout {
	t.Helper()
	sc, err := ironic.NewScout(ironic.ScoutOptions{Session: s.session(t), Installation: "inst", Images: images, Flavors: flavors})
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

func nodes(t testing.TB, sc *ironic.Scout) []metal.Node {
	t.Helper()
	all, err := sc.Nodes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestRecords reads node records as Arsenal's own code was seen to read them.
func TestRecords(t *testing.T) {
	f, err := os.Open("testdata/records.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); n++ {
		var v struct {
			Node   map[string]any
			Expect []any
		}
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		v.Node["uuid"] = uuid(1)
		s := newStandin(t)
		s.add(1, v.Node)
		got := nodes(t, scout(t, s, nil, ironic.FlavorRule{Name: "small", Properties: []string{"memory_mb=32768"}}))[0]
		if v.Expect == nil {
			if got.Flavor != "" {
				t.Errorf("%s: of flavor %s", lines.Text(), got.Flavor)
			}
			continue
		}
		if got.Flavor != v.Expect[1] || got.Provisioned != (v.Expect[2] == 1.0) || got.Cached != (v.Expect[3] == 1.0) ||
			got.Image != v.Expect[4] {
			t.Errorf(
				"%s: got = %+v"+
					"; want got.Flavor == v.Expect[1] and got.Provisioned == (v.Expect[2] == 1.0) and "+
					"got.Cached == (v.Expect[3] == 1.0) and got.Image == v.Expect[4]",
				lines.Text(), got,
			)
		}
		if got.Provisioned != (got.Why != "") {
			t.Errorf("%s: provisioned %t, because %q", lines.Text(), got.Provisioned, got.Why)
		}
	}
	if n != 10 {
		t.Errorf("%d records", n)
	}
}

// TestFree has all that keeps a node from being free, each by itself.
func TestFree(t *testing.T) {
	s := newStandin(t)
	s.add(0, nil)
	bad := []map[string]any{
		{"provision_state": "enroll"}, {"provision_state": "manageable"}, {"provision_state": "inspecting"},
		{"provision_state": "adopting"}, {"provision_state": "rescue"},
		{"provision_state": "service hold"}, {"provision_state": "error"}, {"provision_state": "deploy hold"},
		{"provision_state": "clean failed"}, {"maintenance": true, "maintenance_reason": "a fan"},
		{"retired": true}, {"protected": true}, {"instance_uuid": uuid(77)}, {"reservation": "c1"},
		{"fault": "power failure"}, {"traits": "odd"}, {"properties": 3},
	}
	for i, b := range bad {
		s.add(i+1, b)
	}
	s.add(
		len(bad)+1,
		map[string]any{
			"name": nil, "driver_info": nil, "extra": nil, "traits": nil, "properties": nil, "provision_state": nil,
			"resource_class": nil,
		},
	)
	// at what may be odd
	looks := ironic.FlavorRule{Name: "none", Traits: []string{"CUSTOM_NONE"}, Properties: []string{"none"}}
	all := nodes(t, scout(t, s, nil, ironic.FlavorRule{Name: "small", Class: "small"}, looks))
	if len(all) != len(bad)+2 {
		t.Fatalf("%d nodes", len(all))
	}
	if n := all[0]; !n.Free() || n.Flavor != "small" || n.Rack != "a" || n.BMC != "192.0.2.1" {
		t.Errorf("the free one: %+v", n)
	}
	for i, b := range bad {
		if n := all[i+1]; n.Free() || n.Cached || n.Why == "" {
			t.Errorf(`%v: n = %+v; want !n.Free() and !n.Cached and n.Why != ""`, b, n)
		}
	}
	if n := all[len(bad)+1]; !n.Free() || n.Flavor != "" {
		t.Errorf("nothing but nulls: %+v", n)
	}
}

// TestPages reads many pages, also of an Ironic that gives less at once than is asked for, and
// through what goes wrong once.
func TestPages(t *testing.T) {
	s := newStandin(t)
	for i := range 2300 {
		s.add(i, nil)
	}
	sc := scout(t, s, nil)
	check := func(what string) {
		t.Helper()
		all := nodes(t, sc)
		if len(all) != 2300 || all[0].ID != uuid(0) || all[2299].ID != uuid(2299) {
			t.Fatalf("%s: %d nodes", what, len(all))
		}
	}
	check("all is well")
	s.mu.Lock()
	s.pageMost = 700
	s.mu.Unlock()
	check("small pages")
	s.mu.Lock()
	s.pageMost, s.valid = 1000, map[string]bool{}
	s.mu.Unlock()
	check("the token has run out")
	once := func(do func(w http.ResponseWriter, r *http.Request)) {
		var n atomic.Int64
		s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/v1/nodes") || n.Add(1) != 3 {
				return false
			}
			do(w, r)
			return true
		})
	}
	once(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	check("not there for a moment")
	once(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5000")
		_, _ = w.Write([]byte(`{"nodes": [{"uuid": "` + uuid(2000) + `"}`))
	})
	check("half a page")
	once(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "Node %s could not be found.", r.URL.Query().Get("marker"))
	})
	check("the last node of a page has gone")
}

// TestLies has answers that no Ironic should give. None of them may be taken for the whole fleet.
func TestLies(t *testing.T) {
	s := newStandin(t)
	for i := range 2500 {
		s.add(i, nil)
	}
	for what, answer := range map[string]string{
		"no nodes":       `{}`,
		"null":           `{"nodes": null}`,
		"not JSON":       `{"nodes": [{"uuid": "x"}`,
		"another page":   `{"nodes": [{"uuid": "` + uuid(3) + `"}], "next": ""}`,
		"a text":         `{"nodes": "none"}`,
		"no uuid":        `{"nodes": [{"name": "x"}]}`,
		"an HTML page":   `<html>try later</html>`,
		"another's link": `{"nodes": [{"uuid": "` + uuid(9000) + `"}], "next": "http://x/v1/nodes?marker=` + uuid(1) + `"}`,
	} {
		t.Run(what, func(t *testing.T) {
			s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/v1/nodes") || r.URL.Query().Get("marker") != uuid(999) {
					return false
				}
				_, _ = w.Write([]byte(answer))
				return true
			})
			all, err := scout(t, s, nil).Nodes(t.Context())
			if err == nil || !errors.Is(err, compute.ErrFailed) {
				t.Errorf("%d nodes, %v", len(all), err)
			}
		})
	}
	// a full page without a link is not the last one
	s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/v1/nodes") || r.URL.Query().Get("marker") != "" {
			return false
		}
		rec := &recorder{ResponseWriter: w}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.list(rec, r)
		head, _, _ := strings.Cut(string(rec.body), `, "next"`)
		_, _ = w.Write([]byte(head + "}"))
		return true
	})
	sc := scout(t, s, nil, ironic.FlavorRule{Name: "any"})
	s.with(uuid(1), func(map[string]any) {})
	// logs in, for the first page goes past the check of tokens
	if _, err := sc.Images(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := nodes(t, sc); len(all) != 2500 {
		t.Errorf("no link: %d nodes", len(all))
	}
}

// TestEndless has answers without an end: pages that refer to each other, and one page that goes on
// and on. They are errors, and not the end of our memory.
func TestEndless(t *testing.T) {
	s := newStandin(t)
	for i := range 3 {
		s.add(i, nil)
	}
	s.images = []map[string]any{{"id": "i1", "name": "debian", "status": "active"}}
	sc := scout(t, s, nil)
	_, err := sc.Images(t.Context()) // logs in
	do(t, err)
	next := map[string]string{"": uuid(0), uuid(0): uuid(1), uuid(1): uuid(0)}
	s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		marker := r.URL.Query().Get("marker")
		switch {
		case strings.HasSuffix(r.URL.Path, "/v1/nodes"):
			fmt.Fprintf(w, `{"nodes": [{"uuid": "%s"}], "next": "http://x/v1/nodes?marker=%s"}`, next[marker], next[marker])
		case strings.HasSuffix(r.URL.Path, "/v2/images"):
			fmt.Fprintf(
				w, `{"images": [{"id": "i%s", "name": "debian", "status": "active"}], "next": "/v2/images?marker=%d"}`,
				map[bool]string{true: "1", false: "2"}[marker == "1"], len(marker)%2,
			)
		default:
			return false
		}
		return true
	})
	if all, err := sc.Nodes(t.Context()); err == nil {
		t.Errorf("pages that refer to each other: %d nodes", len(all))
	}
	if all, err := sc.Images(t.Context()); err == nil {
		t.Errorf("pages that refer to each other: %d images", len(all))
	}
	s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/v1/nodes") {
			return false
		}
		_, _ = w.Write([]byte(`{"nodes": ["`))
		more := bytes.Repeat([]byte("a"), 1<<20)
		for range 80 {
			if _, err := w.Write(more); err != nil {
				return true
			}
		}
		_, _ = w.Write([]byte(`"]}`))
		return true
	})
	if _, err := sc.Nodes(t.Context()); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("a page of 80 MiB: %v", err)
	}
}

type recorder struct {
	http.ResponseWriter
	body []byte
}

func (r *recorder) Write(b []byte) (int, error) {
	r.body = append(r.body, b...)
	return len(b), nil
}

// TestVersion speaks to Ironics of several ages.
func TestVersion(t *testing.T) {
	for minor, ok := range map[int]bool{30: false, 52: true, 82: true, 104: true} {
		s := newStandin(t)
		s.maxMinor = minor
		s.add(1, nil)
		all, err := scout(t, s, nil).Nodes(t.Context())
		if (err == nil) != ok || ok && len(all) != 1 || !ok && !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("1.%d: %d nodes, %v", minor, len(all), err)
		}
	}
	s := newStandin(t)
	s.add(1, nil)
	sc := scout(t, s, nil)
	nodes(t, sc)
	s.mu.Lock()
	s.maxMinor = 70
	s.mu.Unlock()
	nodes(t, sc) // it was put back to an older one
}

func TestFlavors(t *testing.T) {
	s := newStandin(t)
	s.add(0, map[string]any{"resource_class": "large", "traits": []string{"CUSTOM_GPU"}})
	s.add(1, map[string]any{"resource_class": "large"})
	s.add(2, map[string]any{"properties": map[string]any{"memory_mb": "65536", "capabilities": "boot_mode:uefi,raid:1"}})
	s.add(3, map[string]any{"conductor_group": "north"})
	s.add(4, map[string]any{"shard": "s1"})
	s.add(5, map[string]any{"resource_class": "other"})
	sc := scout(t, s, nil,
		ironic.FlavorRule{Name: "gpu", Class: "large", Traits: []string{"CUSTOM_GPU"}}, ironic.FlavorRule{Name: "large", Class: "large"},
		ironic.FlavorRule{Name: "uefi", Properties: []string{"memory_mb~^6"}, Capabilities: []string{"boot_mode=uefi"}},
		ironic.FlavorRule{Name: "north", Group: "north"}, ironic.FlavorRule{Name: "sharded", Shard: "s1"})
	for i, want := range []string{"gpu", "large", "uefi", "north", "sharded", ""} {
		if n := nodes(t, sc)[i]; n.Flavor != want {
			t.Errorf("node %d is of flavor %q, not %q", i, n.Flavor, want)
		}
	}
	if all, err := sc.Flavors(t.Context()); err != nil || len(all) != 5 || all[0] != "gpu" {
		t.Errorf(`all = %v, err = %v; want no error and len(all) == 5 and all[0] == "gpu"`, all, err)
	}
	if all, err := scout(t, s, nil).Flavors(t.Context()); err != nil || !slices.Equal(all, []string{"large", "other", "small"}) {
		t.Errorf(`all = %v, err = %v; want no error and all == []string{"large", "other", "small"}`, all, err)
	}
	for _, bad := range [][]ironic.FlavorRule{
		{{}}, {{Name: "a"}, {Name: "a"}}, {{Name: "a", Way: "magic"}}, {{Name: "a", Way: ironic.Clean}},
		{{Name: "a", Properties: []string{"x~("}}},
	} {
		if _, err := ironic.NewScout(ironic.ScoutOptions{
			Session: s.session(t), Installation: "inst", Flavors: bad,
		}); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("%+v: err = %v; want error compute.ErrInvalid", bad, err)
		}
	}
}

func TestImages(t *testing.T) {
	s := newStandin(t)
	add := func(id, name, created string, more map[string]any) {
		i := map[string]any{
			"id": id, "name": name, "status": "active", "visibility": "public", "owner": "p1", "checksum": "c-" + id,
			"created_at": created, "tags": []string{},
		}
		for k, v := range more {
			i[k] = v
		}
		s.images = append(s.images, i)
	}
	add("u1", "ubuntu-old", "2026-01-01T00:00:00Z", map[string]any{"os_distro": "ubuntu", "os_version": "24.04"})
	add("u2", "ubuntu-new", "2026-02-01T00:00:00Z", map[string]any{"os_distro": "ubuntu", "os_version": "24.04"})
	add("u3", "ubuntu-26", "2026-01-15T00:00:00Z", map[string]any{"os_distro": "ubuntu", "os_version": "26.04", "tags": []string{"metal"}})
	add("d1", "debian", "2026-01-01T00:00:00Z", map[string]any{"os_distro": "debian", "visibility": "private", "owner": "p2"})
	add("d2", "debian", "2026-03-01T00:00:00Z", map[string]any{"os_distro": "debian", "checksum": nil})
	add("m1", "metal one", "2026-01-01T00:00:00Z", map[string]any{"vm_mode": "metal", "flavor_classes": "onmetal"})
	add("m2", "metal two", "2026-01-01T00:00:00Z", map[string]any{"vm_mode": "metal", "flavor_classes": "onmetal2, !onmetal"})
	add("q1", "queued", "2026-01-01T00:00:00Z", map[string]any{"status": "queued"})
	preset, _, err := ironic.Preset("onmetal-v1")
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		rules []ironic.ImageRule
		want  string
	}{
		"all":        {nil, "d2 d1 m1 m2 u3 u2 u1"},
		"latest":     {[]ironic.ImageRule{{Properties: []string{"os_distro"}, LatestPer: []string{"os_distro", "os_version"}}}, "d2 u3 u2"},
		"name":       {[]ironic.ImageRule{{Name: "^ubuntu", Exclude: []string{"*-old", "u3"}}}, "u2"},
		"visibility": {[]ironic.ImageRule{{Visibility: "private"}}, "d1"},
		"owner":      {[]ironic.ImageRule{{Owner: "p2"}, {Tags: []string{"metal"}}}, "d1 u3"},
		"property":   {[]ironic.ImageRule{{Properties: []string{"os_version~^26", "!vm_mode"}}}, "u3"},
		"preset":     {preset, "m1"},
	} {
		all, err := scout(t, s, c.rules).Images(t.Context())
		var got []string
		for _, i := range all {
			got = append(got, i.ID)
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf(`%s: got = %v, err = %v; want no error and strings.Join(got, " ") == c.want`, what, got, err)
		}
	}
	for _, bad := range []ironic.ImageRule{
		{Name: "("}, {Visibility: "secret"}, {Properties: []string{"a~("}}, {Properties: []string{"=x"}},
	} {
		if _, err := ironic.NewScout(ironic.ScoutOptions{
			Session: s.session(t), Installation: "inst", Images: []ironic.ImageRule{bad},
		}); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("%+v: err = %v; want error compute.ErrInvalid", bad, err)
		}
	}
}

// TestListedAtOnce has several lists find out at the same moment which fields cannot be had.
func TestListedAtOnce(t *testing.T) {
	s := newStandin(t)
	for i := range 3 {
		s.add(i, nil)
	}
	for range 10 {
		sc := scout(t, s, nil)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if got, err := sc.Nodes(t.Context()); err != nil || len(got) != 3 {
					t.Errorf("%d nodes, %v", len(got), err)
				}
			})
		}
		all.Wait()
	}
}

// TestFieldsRead asks of nodes for what rules look at, and no more.
func TestFieldsRead(t *testing.T) {
	for _, c := range []struct {
		rule   ironic.FlavorRule
		yes    []string
		absent []string
	}{
		{
			ironic.FlavorRule{Name: "f", Class: "small"},
			[]string{"uuid", "extra", "instance_uuid", "reservation", "maintenance_reason"},
			[]string{"properties", "traits", "shard", "power_state"},
		},
		{ironic.FlavorRule{Name: "f", Traits: []string{"CUSTOM_X"}}, []string{"traits"}, []string{"properties", "shard"}},
		{ironic.FlavorRule{Name: "f", Properties: []string{"memory_mb=32768"}}, []string{"properties"}, []string{"traits"}},
		{ironic.FlavorRule{Name: "f", Capabilities: []string{"boot_mode=uefi"}}, []string{"properties"}, []string{"traits"}},
		{ironic.FlavorRule{Name: "f", Shard: "one"}, []string{"shard"}, []string{"traits"}},
	} {
		s := newStandin(t)
		s.add(1, nil)
		var mu sync.Mutex
		var asked []string
		s.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
			if f := r.URL.Query().Get("fields"); f != "" {
				mu.Lock()
				asked = strings.Split(f, ",")
				mu.Unlock()
			}
			return false
		})
		nodes(t, scout(t, s, nil, c.rule))
		mu.Lock()
		for _, f := range c.yes {
			if !slices.Contains(asked, f) {
				t.Errorf("%+v: %s is not asked for among %v", c.rule, f, asked)
			}
		}
		for _, f := range c.absent {
			if slices.Contains(asked, f) {
				t.Errorf("%+v: %s is asked for", c.rule, f)
			}
		}
		mu.Unlock()
	}
}
