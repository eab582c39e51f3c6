package openstack_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/openstack"
)

// classes has three classes of hardware, of which some are full.
func classes(t *testing.T, order string, full ...string) (*sim, *openstack.Provider) {
	t.Helper()
	s := newSim(t)
	s.place, s.boot, s.full = 30*time.Millisecond, 60*time.Millisecond, map[string]bool{}
	s.flavors = []map[string]any{
		{"id": "f1", "name": "old.small", "vcpus": 1, "ram": 512, "disk": 10},
		{"id": "f2", "name": "new.small", "vcpus": 1, "ram": 1024, "disk": 10},
		{"id": "f3", "name": "gpu.small", "vcpus": 2, "ram": 1024, "disk": 10},
		{"id": "f4", "name": "new.large", "vcpus": 8, "ram": 8192, "disk": 10},
	}
	for _, f := range full {
		s.full[f] = true
	}
	return s, simSource(
		t, s, openstack.SessionOptions{},
		func(o *openstack.Options) { o.FlavorSets, o.FlavorOrder = "^new;^old;^gpu", order },
	)
}

func (s *sim) fill(flavors ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.full)
	for _, f := range flavors {
		s.full[f] = true
	}
}

// TestFlavorSets has classes of hardware be full: the next one is taken at once, with one server of
// the name in the end, and what was full is not asked again.
func TestFlavorSets(t *testing.T) {
	for _, c := range []struct {
		name, order string
		spec        compute.Spec
		full        []string
		want        string
		posts       int
	}{
		{"cheapest", "cheapest", compute.Spec{}, nil, "old.small", 1},
		{"listed", "listed", compute.Spec{}, nil, "new.small", 1},
		{"the first is full", "listed", compute.Spec{}, []string{"f2"}, "old.small", 2},
		{"two are", "listed", compute.Spec{}, []string{"f1", "f2"}, "gpu.small", 3},
		{"two are, the cheapest first", "cheapest", compute.Spec{}, []string{"f1", "f2"}, "gpu.small", 3},
		{"only one set has what is needed", "listed", compute.Spec{Cores: 4}, nil, "new.large", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, p := classes(t, c.order, c.full...)
			c.spec.ID = "web-1"
			in, err := p.Create(t.Context(), c.spec)
			if err != nil || in.Facts["flavor"] != c.want || s.count("POST servers") != c.posts {
				t.Fatalf("%v, %v after %d requests, want %s after %d", in.Facts, err, s.count("POST servers"), c.want, c.posts)
			}
			if all, err := p.List(t.Context()); err != nil || len(all) != 1 || all[0].Facts["flavor"] != c.want {
				t.Errorf("there are %+v, %v", all, err)
			}
			if _, err := p.Create(
				t.Context(), compute.Spec{ID: "web-2", Cores: c.spec.Cores},
			); err != nil || s.count("POST servers") != c.posts+1 {
				t.Errorf("the next one: %v, after %d requests", err, s.count("POST servers")-c.posts)
			}
			destroy(t, p, "web-1")
			destroy(t, p, "web-2")
			if len(s.servers)+len(s.ports)+len(s.keys) != 0 {
				t.Errorf("left: %d servers, %d ports, %d keys", len(s.servers), len(s.ports), len(s.keys))
			}
		})
	}
}

// TestAllFlavorSetsFull has no class have room: the error says what each said, the server that
// failed can be destroyed, and the next one tries the first class again, which has room by then.
func TestAllFlavorSetsFull(t *testing.T) {
	s, p := classes(t, "listed", "f1", "f2", "f3")
	_, err := p.Create(t.Context(), compute.Spec{ID: "web-1"})
	if !errors.Is(err, compute.ErrNoCapacity) || openstack.ReasonOf(err) != openstack.NoHardware ||
		provider.WasUnasked(err) || compute.Hint(err) == "" {
		t.Errorf("%v (%s), unasked %v", err, openstack.ReasonOf(err), provider.WasUnasked(err))
	}
	for _, word := range []string{"3 flavors", "new.small: ", "old.small: ", "gpu.small: ", "No valid host"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
	destroy(t, p, "web-1")
	if len(s.servers)+len(s.ports) != 0 {
		t.Errorf("left: %d servers, %d ports", len(s.servers), len(s.ports))
	}
	if _, err := p.Create(t.Context(), compute.Spec{ID: "web-2"}); !errors.Is(err, compute.ErrNoCapacity) || s.count("POST servers") != 4 {
		t.Errorf("while all are known to be full: %v, with %d requests, want one", err, s.count("POST servers")-3)
	}
	s.fill("f1")
	before := s.count("POST servers")
	if in, err := p.Create(t.Context(), compute.Spec{ID: "web-3"}); err != nil || in.Facts["flavor"] != "new.small" ||
		s.count("POST servers") != before+1 {
		t.Errorf("with room: %v, %v", in.Facts, err)
	}
}

// TestPickIsOfTheNeed: what was picked for one need is not taken for another that is a little more.
func TestPickIsOfTheNeed(t *testing.T) {
	_, p := classes(t, "listed")
	for i, c := range []struct {
		memory int64
		want   string
	}{{1 << 30, "new.small"}, {1<<30 + 1, "new.large"}, {8 << 30, "new.large"}, {1 << 20, "new.small"}} {
		if in, err := p.Create(
			t.Context(), compute.Spec{ID: compute.ID(fmt.Sprintf("web-%d", i)), Memory: c.memory},
		); err != nil || in.Facts["flavor"] != c.want {
			t.Errorf("%d bytes: %v, %v, want %s", c.memory, in.Facts, err, c.want)
		}
	}
}

// TestNamedFlavorFull: who names a flavor gets that one or none, and is told so by Connect.
func TestNamedFlavorFull(t *testing.T) {
	s, p := classes(t, "listed", "f2")
	if _, err := p.Create(t.Context(), compute.Spec{ID: "web-1", Flavor: "new.small"}); err != nil || s.count("POST servers") != 1 {
		t.Fatalf("Create: %v", err)
	}
	until(t, "web-1 fails", func() error {
		if _, err := p.Connect(t.Context(), "web-1"); openstack.ReasonOf(err) != openstack.NoHardware {
			return errors.Join(errors.New("it has not failed"), err)
		}
		return nil
	})
	// It was noticed: the next one that may choose does not try that flavor.
	if in, err := p.Create(t.Context(), compute.Spec{ID: "web-2"}); err != nil || in.Facts["flavor"] != "old.small" ||
		s.count("POST servers") != 2 {
		t.Errorf(
			"in.Facts = %v, err = %v"+
				`; want no error and in.Facts["flavor"] == "old.small" and s.count("POST servers") == 2`,
			in.Facts, err,
		)
	}
}

// TestFlavorGone has a flavor go that was picked a while ago.
func TestFlavorGone(t *testing.T) {
	s, p := classes(t, "listed")
	if _, err := p.Create(t.Context(), compute.Spec{ID: "web-1"}); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.flavors = append(s.flavors[:1:1], s.flavors[2:]...)
	s.mu.Unlock()
	p.Session().Catalog().Forget()
	if in, err := p.Create(t.Context(), compute.Spec{ID: "web-2"}); err != nil || in.Facts["flavor"] != "new.large" {
		t.Errorf(`in.Facts = %v, err = %v; want no error and in.Facts["flavor"] == "new.large"`, in.Facts, err)
	}
}

// TestVacateFails has the cloud not delete the server that failed: no second one is asked for.
func TestVacateFails(t *testing.T) {
	s, p := classes(t, "listed", "f2")
	s.refuse = first(
		1e6, "DELETE", "/servers",
		status(http.StatusForbidden, "", `{"forbidden": {"code": 403, "message": "Policy doesn't allow it to be performed."}}`),
	)
	if _, err := p.Create(t.Context(), compute.Spec{ID: "web-1"}); !errors.Is(err, compute.ErrDenied) || s.count("POST servers") != 1 {
		t.Errorf("%v, with %d servers asked for", err, s.count("POST servers"))
	}
}

// until waits for a condition.
func until(t *testing.T, what string, is func() error) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		err := is()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: err = %v; want !time.Now().After(end)", what, err)
		}
	}
}
