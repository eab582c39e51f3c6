package openstack_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servergroups"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack"
)

// sameHost makes a server group whose servers stay on one host. The lab takes away the machine
// behind a server that comes to another: it moves no disks.
func sameHost(t *testing.T, s *openstack.Session, name string) string {
	t.Helper()
	nova, err := s.Compute(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g, err := servergroups.Create(t.Context(), nova, servergroups.CreateOpts{Name: name, Policies: []string{"affinity"}}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servergroups.Delete(context.Background(), nova, g.ID).ExtractErr(); err != nil {
			t.Error(err)
		}
	})
	return name
}

// TestResize gives a server of the lab more memory, with what is on its disk, goes on with what
// another call has begun, and hears where there is no room; the server then is as it was.
func TestResize(t *testing.T) {
	o, s := options(t), session(t, "lab")
	o.ServerGroup = sameHost(t, s, o.Source)
	p := openAt(t, o)
	id := compute.ID(o.Source + "-1")
	in := create(t, p, compute.Spec{ID: id})
	c, err := connect(t, p, id)
	if err != nil {
		t.Fatal(err)
	}
	sh(t, c, "echo kept > /root/kept")
	c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	has := func(want string) {
		t.Helper()
		all, err := p.List(ctx)
		if err != nil || len(all) != 1 || all[0].Facts["flavor"] != want || all[0].Address != in.Address {
			t.Errorf("List: %+v, %v; it is to be %s at %s", all, err, want, in.Address)
		}
	}
	for range 2 { // the second is no error
		if err := p.Resize(ctx, id, "lab.small"); err != nil {
			t.Fatalf("Resize: %v", err)
		}
	}
	has("lab.small")
	if c, err = connect(t, p, id); err != nil {
		t.Fatal(err)
	}
	if got := sh(t, c, "cat /root/kept"); got != "kept" {
		t.Errorf("afterwards its disk has %q", got)
	}
	c.Close()
	if err := p.Resize(ctx, id, "lab.huge"); !errors.Is(err, compute.ErrNoCapacity) {
		t.Errorf("to what fits nowhere: %v", err)
	}
	has("lab.small")
	if err := p.Resize(ctx, id, "no.such"); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("to what there is not: %v", err)
	}

	// Another process asked for it, and was killed.
	nova, err := s.Compute(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tiny, err := s.Catalog().Flavor(ctx, "lab.tiny")
	if err != nil {
		t.Fatal(err)
	}
	if err := servers.Resize(ctx, nova, in.ProviderID, servers.ResizeOpts{FlavorRef: tiny.ID}).ExtractErr(); err != nil {
		t.Fatal(err)
	}
	if err := p.Resize(ctx, id, "lab.tiny"); err != nil {
		t.Errorf("what another has begun: %v", err)
	}
	has("lab.tiny")
	if err := p.Check(ctx, id); err != nil {
		t.Errorf("Check: %v", err)
	}
	destroy(t, p, id)
	if rest := left(t, s, o.Source); len(rest) > 0 {
		t.Errorf("left behind: %q", rest)
	}
}
