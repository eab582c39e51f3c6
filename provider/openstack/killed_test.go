package openstack_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/openstack"
)

// TestKilledInTheLifeOfAServer has the process die right after it asked for a stop, a start, a
// rebuild and an image. The next one ends what was begun, and there is one of each in the end.
func TestKilledInTheLifeOfAServer(t *testing.T) {
	o := options(t)
	s := session(t, "lab")
	id := compute.ID(o.Source + "-1")
	p := openAt(t, o)
	t.Cleanup(func() { destroy(t, p, id) })
	create(t, p, compute.Spec{ID: id})
	c, err := connect(t, p, id)
	if err != nil {
		t.Fatal(err)
	}
	sh(t, c, "echo used > /root/used")
	c.Close()
	name := o.Source + ":image"
	t.Cleanup(func() { deleteImages(t, s, name) })
	snapshot := func(ctx context.Context, p *openstack.Provider) error {
		_, err := p.Snapshot(ctx, id, provider.ImageSpec{Name: name})
		return err
	}
	for _, step := range []struct {
		what string
		do   func(context.Context, *openstack.Provider) error
		then func(t *testing.T)
	}{
		{"stop", func(ctx context.Context, p *openstack.Provider) error { return p.Stop(ctx, id, time.Minute) }, nil},
		{"start", func(ctx context.Context, p *openstack.Provider) error { return p.Start(ctx, id) }, nil},
		{"rebuild", func(ctx context.Context, p *openstack.Provider) error { _, err := p.Clean(ctx, id); return err }, func(t *testing.T) {
			if c, err := connect(t, p, id); err != nil {
				t.Error(err)
			} else if got := sh(t, c, "cat /root/used 2>/dev/null || echo none"); got != "none" {
				t.Errorf("after a rebuild the disk has %q", got)
			}
		}},
		{"stop for an image", snapshot, nil},
		{"image", snapshot, func(t *testing.T) {
			if got := imagesOf(t, s, name); len(got) != 1 {
				t.Errorf("there are %d images: %q", len(got), got)
			}
		}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		dead, m := dying(t, o, 0)
		if err := step.do(ctx, dead); !strings.Contains(fmt.Sprint(err), errDead.Error()) || !strings.HasSuffix(m.died, "/action") {
			t.Fatalf("%s: killed at %q: %v", step.what, m.died, err)
		}
		if step.what == "stop for an image" { // which is asked for next
			err := p.Stop(ctx, id, 3*time.Minute)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := step.do(ctx, openAt(t, o)); err != nil {
			t.Fatalf("%s, by the next process: %v", step.what, err)
		}
		cancel()
		if step.what == "start" {
			if _, err := connect(t, p, id); err != nil {
				t.Fatalf("it does not run: %v", err)
			}
		}
		if step.then != nil {
			step.then(t)
		}
	}
	destroy(t, p, id)
	deleteImages(t, s, name)
	if rest := left(t, s, o.Source); len(rest) > 0 {
		t.Errorf("left behind: %q", rest)
	}
}
