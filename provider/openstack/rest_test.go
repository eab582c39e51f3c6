package openstack_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/openstack"
)

// off is a source with one server that is turned off.
func off(t *testing.T, s *sim) *openstack.Provider {
	t.Helper()
	p := simProvider(t, s, openstack.SessionOptions{})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "web-1"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context(), "web-1", 0); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestCleanOfOneThatIsOff rebuilds a server that its user turned off: the cloud leaves it so, and
// it is to run.
func TestCleanOfOneThatIsOff(t *testing.T) {
	s := newSim(t)
	p := off(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := p.Clean(ctx, "web-1"); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(t.Context(), "web-1"); err != nil {
		t.Errorf("after it was cleaned: %v", err)
	}
}

// TestStartOfOneThatDoesNotStop starts a server that is just being turned off and stays on after
// all.
func TestStartOfOneThatDoesNotStop(t *testing.T) {
	s := newSim(t)
	p := simProvider(t, s, openstack.SessionOptions{})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "web-1"}); err != nil {
		t.Fatal(err)
	}
	task := func(to string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.servers[0].task = to
	}
	task("powering-off")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	started, before := make(chan error, 1), s.count("GET servers")
	go func() { started <- p.Start(ctx, "web-1") }()
	until(t, "it is looked at twice", func() error {
		if s.count("GET servers") < before+2 {
			return errors.New("not yet")
		}
		return nil
	})
	task("")
	if err := <-started; err != nil {
		t.Error(err)
	}
}

// TestHalfAnImage has images that were not finished: our own, when it fails or is waited for no
// longer; that of another process, when there is a new one.
func TestHalfAnImage(t *testing.T) {
	s := newSim(t)
	p := off(t, s)
	named := func() (ids []string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, i := range s.images {
			if i["name"] == "web:1" {
				ids = append(ids, i["id"].(string))
			}
		}
		return ids
	}
	saving := func(to string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.saving = to
	}
	saving("killed")
	if _, err := p.Snapshot(
		t.Context(), "web-1", provider.ImageSpec{Name: "web:1"},
	); !errors.Is(err, compute.ErrFailed) || len(named()) != 0 {
		t.Errorf("one that fails: %v, and there are %q", err, named())
	}
	saving("saving")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := p.Snapshot(ctx, "web-1", provider.ImageSpec{Name: "web:1"})
		ended <- err
	}()
	until(t, "it is being saved", func() error {
		if len(named()) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || len(named()) != 0 {
		t.Errorf("one that is abandoned: %v, and there are %q", err, named())
	}
	saving("")
	image := func(id, status, owner string, age time.Duration) map[string]any {
		return map[string]any{
			"id": id, "name": "web:1", "status": status, "created_at": time.Now().Add(-age).UTC().Format(time.RFC3339),
			openstack.KeyInstallation: owner,
		}
	}
	s.mu.Lock()
	s.images = append(s.images, image("whole", "active", "inst", time.Minute), image("dead", "queued", "inst", 2*time.Hour), image("young", "saving", "inst", time.Minute),
		image("theirs", "queued", "other", 2*time.Hour), image("also-theirs", "active", "other", 2*time.Hour))
	s.mu.Unlock()
	if _, err := p.Snapshot(t.Context(), "web-1", provider.ImageSpec{Name: "web:1"}); err != nil {
		t.Fatal(err)
	}
	if left := named(); len(left) != 4 || slices.Contains(left, "whole") || slices.Contains(left, "dead") {
		t.Errorf("there are %q", left)
	}
}

// TestKeyThatIsNotDeleted has the cloud refuse once to delete the key pair of the source's last
// server: it is asked again, and nothing is left.
func TestKeyThatIsNotDeleted(t *testing.T) {
	s := newSim(t)
	refused := first(1, "DELETE", "/os-keypairs", func(w http.ResponseWriter) {
		answer(
			w, http.StatusInternalServerError,
			map[string]any{"computeFault": map[string]any{"code": 500, "message": "Unexpected API Error."}},
		)
	})
	s.refuse = refused
	p := simProvider(t, s, openstack.SessionOptions{})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "web-1"}); err != nil {
		t.Fatal(err)
	}
	failed := false
	for range 20 {
		err := p.Destroy(t.Context(), "web-1")
		if errors.Is(err, compute.ErrNotFound) {
			break
		}
		failed = failed || err != nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !failed || len(s.keys) != 0 {
		t.Errorf("it said so: %v; keys that are left: %v", failed, s.keys)
	}
}
