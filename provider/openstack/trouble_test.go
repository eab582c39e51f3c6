package openstack_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack"
)

// TestSubnetFull has no address left: it is told as such, nothing of the server is left, and when
// an address is free again there is one.
func TestSubnetFull(t *testing.T) {
	o, s := options(t), session(t, "lab")
	n, err := s.Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	network, err := networks.Create(t.Context(), n, networks.CreateOpts{Name: "full-" + o.Installation}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := networks.Delete(context.WithoutCancel(t.Context()), n, network.ID).ExtractErr(); err != nil {
			t.Error(err)
		}
	})
	no := false
	if _, err := subnets.Create(
		t.Context(), n,
		subnets.CreateOpts{
			NetworkID: network.ID, CIDR: "10.87.0.0/29", IPVersion: 4, EnableDHCP: &no,
			AllocationPools: []subnets.AllocationPool{{Start: "10.87.0.2", End: "10.87.0.2"}},
		},
	).Extract(); err != nil {
		t.Fatal(err)
	}
	other, err := ports.Create(t.Context(), n, ports.CreateOpts{NetworkID: network.ID, Name: "other"}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ports.Delete(context.WithoutCancel(t.Context()), n, other.ID).ExtractErr() })
	o.Network = []string{network.ID}
	p, id := openAt(t, o), compute.ID(o.Source+"-1")
	_, err = p.Create(t.Context(), compute.Spec{ID: id})
	t.Cleanup(func() { destroy(t, p, id) })
	if !errors.Is(err, compute.ErrNoCapacity) || openstack.ReasonOf(err) != openstack.QuotaSpent ||
		!strings.Contains(err.Error(), "IP addresses") || compute.Hint(err) == "" {
		t.Errorf(
			"err = %v (openstack.ReasonOf(err) = %s; compute.Hint(err) = %s)"+
				"; want error compute.ErrNoCapacity and openstack.ReasonOf(err) == openstack.QuotaSpent "+
				`and err.Error() with "IP addresses" and compute.Hint(err) != ""`,
			err, openstack.ReasonOf(err), compute.Hint(err),
		)
	}
	destroy(t, p, id)
	if rest := left(t, s, o.Source); len(rest) > 0 {
		t.Errorf("left behind: %q", rest)
	}
	if err := ports.Delete(t.Context(), n, other.ID).ExtractErr(); err != nil {
		t.Fatal(err)
	}
	create(t, p, compute.Spec{ID: id})
	destroy(t, p, id)
}

// TestFlavorDeletedInUse has an administrator delete the flavor that a source has chosen. Its
// server goes on, is listed and destroyed; the next one is of the flavor that is left, and without
// any that is said.
func TestFlavorDeletedInUse(t *testing.T) {
	o, admin := options(t), session(t, "admin")
	c, err := admin.Compute(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	drop := map[string]func(){}
	for name, ram := range map[string]int{"a": 256, "b": 320} {
		disk := 1
		f, err := flavors.Create(t.Context(), c, flavors.CreateOpts{Name: o.Source + "-" + name, VCPUs: 1, RAM: ram, Disk: &disk}).Extract()
		if err != nil {
			t.Fatal(err)
		}
		gone := false
		drop[name] = func() {
			if gone {
				return
			}
			gone = true
			if err := flavors.Delete(context.WithoutCancel(t.Context()), c, f.ID).ExtractErr(); err != nil {
				t.Error(err)
			}
		}
		t.Cleanup(drop[name])
	}
	o.Flavor, o.FlavorRegex = "", "^"+o.Source+"-"
	p := openAt(t, o)
	first, second, third := compute.ID(o.Source+"-1"), compute.ID(o.Source+"-2"), compute.ID(o.Source+"-3")
	if in := create(t, p, compute.Spec{ID: first}); in.Facts["flavor"] != o.Source+"-a" {
		t.Errorf("the first is of %q", in.Facts["flavor"])
	}
	drop["a"]()
	if in := create(t, p, compute.Spec{ID: second}); in.Facts["flavor"] != o.Source+"-b" {
		t.Errorf("the second is of %q", in.Facts["flavor"])
	}
	drop["b"]()
	if conn, err := connect(t, p, first); err != nil {
		t.Errorf("the first: %v", err)
	} else {
		conn.Close()
	}
	o.Dir = t.TempDir()
	anew := openAt(t, o) // which has never heard of them
	if all, err := anew.List(t.Context()); err != nil || len(all) != 2 {
		t.Errorf("List: %+v, %v", all, err)
	}
	_, err = p.Create(t.Context(), compute.Spec{ID: third})
	t.Cleanup(func() { destroy(t, p, third) })
	if !errors.Is(err, compute.ErrTooLarge) || !strings.Contains(err.Error(), "no server flavor") {
		t.Errorf("without any flavor: %v", err)
	}
	for _, id := range []compute.ID{first, second, third} {
		destroy(t, p, id)
	}
	if rest := left(t, session(t, "lab"), o.Source); len(rest) > 0 {
		t.Errorf("left behind: %q", rest)
	}
}

// upload makes an image of the project's own, as an operator would.
func upload(t *testing.T, s *openstack.Session, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	c, err := s.Images(ctx)
	if err != nil {
		t.Fatal(err)
	}
	i, err := images.Create(ctx, c, images.CreateOpts{Name: name, ContainerFormat: "bare", DiskFormat: "raw"}).Extract()
	if err == nil {
		err = imagedata.Upload(ctx, c, i.ID, bytes.NewReader(make([]byte, 64<<10))).ExtractErr()
	}
	if err != nil {
		t.Fatalf("upload image %s: %v", name, err)
	}
}

// TestImageDeletedInUse has somebody delete the image that a source names, while a server of it
// runs. The server goes on, is listed and can be logged in to, also by a process that has never
// heard of it. Another one cannot be made, which is said with the image's name and the source's,
// and leaves nothing; when an image of that name is there again, it is made of that.
func TestImageDeletedInUse(t *testing.T) {
	o, s := options(t), session(t, "lab")
	o.Image = o.Source + "-image"
	t.Cleanup(func() { deleteImages(t, s, o.Image) })
	upload(t, s, o.Image)
	was := imagesOf(t, s, o.Image)
	p := openAt(t, o)
	first, second := compute.ID(o.Source+"-1"), compute.ID(o.Source+"-2")
	create(t, p, compute.Spec{ID: first})
	if conn, err := connect(t, p, first); err != nil {
		t.Fatal(err)
	} else {
		sh(t, conn, "echo mine > /root/file")
		conn.Close()
	}
	deleteImages(t, s, o.Image)
	fresh := o
	fresh.Dir = o.Dir // its key is there
	anew := openAt(t, fresh)
	for who, p := range map[string]*openstack.Provider{"the process that made it": p, "the next one": anew} {
		if err := p.Check(t.Context(), first); err != nil {
			t.Errorf("%s: Check: %v", who, err)
		}
		if all, err := p.List(t.Context()); err != nil || len(all) != 1 || all[0].ID != first || all[0].Facts["image"] != o.Image {
			t.Errorf("%s: List: %+v, %v", who, all, err)
		}
		if conn, err := connect(t, p, first); err != nil {
			t.Errorf("%s: err = %v; want no error", who, err)
		} else {
			if got := sh(t, conn, "cat /root/file"); got != "mine" {
				t.Errorf("%s: it has %q", who, got)
			}
			conn.Close()
		}
		_, err := p.Create(t.Context(), compute.Spec{ID: second})
		if !errors.Is(err, compute.ErrNotFound) || !strings.Contains(err.Error(), o.Image) ||
			!strings.Contains(err.Error(), "source "+o.Source) || compute.Hint(err) == "" {
			t.Errorf("%s: without the image: %v (%s)", who, err, compute.Hint(err))
		}
		destroy(t, p, second)
	}
	if rest := left(t, s, string(second)); len(rest) > 0 {
		t.Errorf("left behind by what could not be made: %q", rest)
	}
	upload(t, s, o.Image)
	if now := imagesOf(t, s, o.Image); len(now) != 1 || now[0] == was[0] {
		t.Fatalf("there are images %q, and was %q", now, was)
	}
	create(t, p, compute.Spec{ID: second})
	if conn, err := connect(t, p, second); err != nil {
		t.Errorf("of the image that is there again: %v", err)
	} else {
		conn.Close()
	}
	for _, id := range []compute.ID{first, second} {
		destroy(t, p, id)
	}
	deleteImages(t, s, o.Image)
	if rest := left(t, s, o.Source); len(rest) > 0 {
		t.Errorf("left behind: %q", rest)
	}
}

// TestSkewedTokens has a cloud whose clock is hours ahead or behind: a token that ended long ago by
// our clock is used for as long as the cloud takes it, and replaced when it does not.
func TestSkewedTokens(t *testing.T) {
	for _, skew := range []time.Duration{-3 * time.Hour, 3 * time.Hour} {
		s := newSim(t)
		s.skew = skew
		p := simProvider(t, s, openstack.SessionOptions{})
		for n := range 3 {
			if _, err := p.List(t.Context()); err != nil || s.logins != 1 {
				t.Errorf("%v, call %d: %v, %d log-ins", skew, n, err, s.logins)
			}
		}
		s.mu.Lock()
		s.token++
		s.mu.Unlock()
		if _, err := p.List(t.Context()); err != nil || s.logins != 2 {
			t.Errorf("%v, when it has ended: %v, %d log-ins", skew, err, s.logins)
		}
	}
}
