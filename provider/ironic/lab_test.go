package ironic_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	baremetal "github.com/gophercloud/gophercloud/v2/openstack/baremetal/v1/nodes"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/provider/ironic"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/credentials"
)

// labSession speaks to the real thing.
func labSession(t testing.TB) *openstack.Session {
	t.Helper()
	cred, err := credentials.Find(credentials.Where{
		Cloud: "admin", File: computetest.OpenStack(t), Getenv: func(string) string { return "" },
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := openstack.NewSession(cred, openstack.SessionOptions{Rate: 100})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.CloseIdle)
	return s
}

func random() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// labNode makes a node of a test's own in the real Ironic, available, of a class of its own, and
// takes it away afterwards.
func labNode(t testing.TB, s *openstack.Session, class string, driver map[string]any) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c, err := s.Metal(ctx)
	do(t, err)
	c.Microversion = "1.80"
	n, err := baremetal.Create(ctx, c, baremetal.CreateOpts{
		Name: class + "-" + random(), Driver: "oslab-hardware", ResourceClass: class, DriverInfo: driver,
		Properties: map[string]any{"memory_mb": 1024, "cpus": 1}, Extra: map[string]any{"rack": "t"},
	}).Extract()
	do(t, err)
	t.Cleanup(func() { labEnd(t, c, n.UUID) })
	for _, to := range []struct {
		verb  baremetal.TargetProvisionState
		state string
	}{{baremetal.TargetManage, "manageable"}, {baremetal.TargetProvide, "available"}} {
		do(t, baremetal.ChangeProvisionState(ctx, c, n.UUID, baremetal.ProvisionStateOpts{Target: to.verb}).ExtractErr())
		for {
			now, err := baremetal.Get(ctx, c, n.UUID).Extract()
			do(t, err)
			if now.ProvisionState == to.state && now.Reservation == "" {
				break
			}
			if now.ProvisionState == "clean failed" {
				t.Fatal(now.LastError)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	return n.UUID
}

// labEnd removes a node in whatever state it is.
func labEnd(t testing.TB, c *gophercloud.ServiceClient, id string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		n, err := baremetal.Get(ctx, c, id).Extract()
		if gophercloud.ResponseCodeIs(err, 404) {
			return
		}
		if err == nil && n.Reservation == "" {
			switch n.ProvisionState {
			case "active", "deploy failed", "error":
				_ = baremetal.ChangeProvisionState(ctx, c, id, baremetal.ProvisionStateOpts{Target: baremetal.TargetDeleted}).ExtractErr()
			case "available", "manageable", "enroll", "clean failed":
				_ = baremetal.SetMaintenance(ctx, c, id, baremetal.MaintenanceOpts{Reason: "the test ends"}).ExtractErr()
				_ = baremetal.Delete(ctx, c, id).ExtractErr()
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Errorf("node %s could not be removed", id)
}

// labImage is an image that the real thing has.
func labImage(t testing.TB, sc *ironic.Scout) metal.Image {
	t.Helper()
	all, err := sc.Images(t.Context())
	do(t, err)
	if len(all) == 0 {
		t.Fatal("there is no image")
	}
	return all[0]
}

// TestLabWays has each way that the real Ironic can go here, on nodes of its own, all at once.
func TestLabWays(t *testing.T) {
	s := labSession(t)
	for _, f := range []ironic.FlavorRule{
		{Way: ironic.Deploy}, {Way: ironic.Allocate}, {Way: ironic.Prefetch},
		{Way: ironic.Clean, Steps: []ironic.Step{{Interface: "deploy", Step: "lab_burnin", Args: map[string]any{"seconds": 2}}}},
	} {
		t.Run(string(f.Way), func(t *testing.T) {
			t.Parallel()
			f.Name = "hostler-" + random()
			f.Class = f.Name
			id := labNode(t, s, f.Class, nil)
			installation := random()
			sc, err := ironic.NewScout(ironic.ScoutOptions{
				Session: s, Installation: installation, Images: []ironic.ImageRule{{Name: "^cirros$"}},
				Flavors: []ironic.FlavorRule{f},
			})
			do(t, err)
			c, err := ironic.NewCommander(ironic.CommanderOptions{
				Session: s, Installation: installation, Flavors: []ironic.FlavorRule{f}, Poll: 200 * time.Millisecond,
			})
			do(t, err)
			defer c.Close()
			image := labImage(t, sc)
			see := func(what string, ok func(metal.Node) bool) metal.Node {
				t.Helper()
				var n metal.Node
				for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
					for _, n = range nodesOf(t, sc, f.Name) {
						if ok(n) {
							return n
						}
					}
				}
				t.Fatalf("it is not %s: %+v", what, n)
				return n
			}
			see("free", func(n metal.Node) bool { return n.Free() && n.ID == id })
			do(t, c.Cache(t.Context(), id, image))
			do(t, c.Cache(t.Context(), id, image))
			see("cached", func(n metal.Node) bool {
				return n.Cached && !n.Writing && !n.Provisioned && n.Image == image.ID && n.Writes == 1
			})
			do(t, c.Eject(t.Context(), id))
			see("free again", func(n metal.Node) bool { return n.Free() && n.Writes == 1 })
		})
	}
}

func nodesOf(t testing.TB, sc *ironic.Scout, flavor string) (out []metal.Node) {
	t.Helper()
	for _, n := range nodes(t, sc) {
		if n.Flavor == flavor {
			out = append(out, n)
		}
	}
	return out
}

// TestLabFails has the real Ironic fail a deployment, and a vendor's call that it does not have.
func TestLabFails(t *testing.T) {
	s := labSession(t)
	class := "hostler-" + random()
	f := ironic.FlavorRule{Name: class, Class: class}
	id := labNode(t, s, class, map[string]any{"lab_fail": "deploy"})
	sc, err := ironic.NewScout(ironic.ScoutOptions{
		Session: s, Installation: class, Images: []ironic.ImageRule{{Name: "^cirros$"}}, Flavors: []ironic.FlavorRule{f},
	})
	do(t, err)
	c, err := ironic.NewCommander(ironic.CommanderOptions{
		Session: s, Installation: class, Flavors: []ironic.FlavorRule{f}, Poll: 200 * time.Millisecond,
	})
	do(t, err)
	defer c.Close()
	image := labImage(t, sc)
	do(t, c.Cache(t.Context(), id, image))
	wait := func(ok func(metal.Node) bool) {
		t.Helper()
		for end := time.Now().Add(2 * time.Minute); ; time.Sleep(300 * time.Millisecond) {
			n := nodesOf(t, sc, class)
			if len(n) == 1 && ok(n[0]) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("n = %+v; want !time.Now().After(end)", n)
			}
		}
	}
	wait(func(n metal.Node) bool { return n.Failed != "" && n.Cached && n.Image == "" })
	do(t, c.Eject(t.Context(), id))
	wait(func(n metal.Node) bool { return n.Free() })
	f.Way = ironic.Passthru
	p, err := ironic.NewCommander(ironic.CommanderOptions{Session: s, Installation: class, Flavors: []ironic.FlavorRule{f}})
	do(t, err)
	defer p.Close()
	if err := p.Cache(t.Context(), id, image); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("a call that the vendor does not have: %v", err)
	}
	wait(func(n metal.Node) bool { return n.Free() && n.Failed != "" })
}

// TestLabInstance hands out two real nodes, one on which the image stands and one that is deployed,
// and takes them back.
func TestLabInstance(t *testing.T) {
	s := labSession(t)
	class := "hostler-" + random()
	f := ironic.FlavorRule{Name: class, Class: class}
	ready := labNode(t, s, class, nil)
	other := labNode(t, s, class, nil)
	sc, err := ironic.NewScout(ironic.ScoutOptions{
		Session: s, Installation: class, Images: []ironic.ImageRule{{Name: "^cirros$"}}, Flavors: []ironic.FlavorRule{f},
	})
	do(t, err)
	p, err := ironic.Open(
		t.Context(), slog.New(slog.DiscardHandler),
		ironic.Options{Session: s, Source: "metal", Installation: class, Dir: t.TempDir(), Image: "cirros", Class: class},
	)
	do(t, err)
	c, err := ironic.NewCommander(standbys(
		t, p,
		ironic.CommanderOptions{
			Session: s, Installation: class, Flavors: []ironic.FlavorRule{f}, Poll: 200 * time.Millisecond,
			PowerOff: true,
		},
	))
	do(t, err)
	defer c.Close()
	do(t, c.Cache(t.Context(), ready, labImage(t, sc)))
	wait := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(300 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("it is not %s: %+v", what, nodesOf(t, sc, class))
			}
		}
	}
	wait("cached", func() bool {
		for _, n := range nodesOf(t, sc, class) {
			if n.ID == ready {
				return n.Cached && !n.Writing && !n.Provisioned
			}
		}
		return false
	})
	in, err := p.Create(t.Context(), compute.Spec{ID: "metal-1"})
	do(t, err)
	if in.ProviderID != ready || in.Facts[ironic.FactCached] != "hit" {
		t.Errorf(`in = %+v; want in.ProviderID == ready and in.Facts[ironic.FactCached] == "hit"`, in)
	}
	in, err = p.Create(t.Context(), compute.Spec{ID: "metal-2", UserData: []byte("#!/bin/sh\ntrue\n")})
	do(t, err)
	if in.ProviderID != other || in.Facts[ironic.FactCached] != "miss" {
		t.Errorf(`in = %+v; want in.ProviderID == other and in.Facts[ironic.FactCached] == "miss"`, in)
	}
	if _, err := p.Create(t.Context(), compute.Spec{ID: "metal-3"}); !errors.Is(err, compute.ErrNoCapacity) {
		t.Errorf("a third of two: %v", err)
	}
	for _, id := range []compute.ID{"metal-1", "metal-2"} {
		wait("up", func() bool { return p.Check(t.Context(), id) == nil })
		// there is nothing behind it
		if _, err := p.Connect(t.Context(), id); !errors.Is(err, compute.ErrNotReady) {
			t.Errorf("%s: err = %v; want error compute.ErrNotReady", id, err)
		}
	}
	do(t, p.Stop(t.Context(), "metal-1", 0))
	do(t, p.Start(t.Context(), "metal-1"))
	for _, id := range []compute.ID{"metal-1", "metal-2"} {
		wait("gone", func() bool {
			err := p.Destroy(t.Context(), id)
			if err != nil && !errors.Is(err, compute.ErrNotFound) {
				t.Errorf("%s: err = %v; want no error or error compute.ErrNotFound", id, err)
			}
			return errors.Is(err, compute.ErrNotFound)
		})
	}
	wait("free", func() bool {
		for _, n := range nodesOf(t, sc, class) {
			if !n.Free() {
				return false
			}
		}
		return true
	})
}
