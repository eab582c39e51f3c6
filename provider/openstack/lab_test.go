package openstack_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/credentials"
)

func random() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// options are those of a source of the lab that no other test's has anything to do with.
func options(t *testing.T) openstack.Options {
	t.Helper()
	if os.Geteuid() != 0 && os.Getenv("HOSTLER_REQUIRE_LAB") == "" {
		t.Skip("the lab's servers are root's")
	}
	return openstack.Options{
		Cloud: "lab", CloudsFile: computetest.OpenStack(t), Image: "debian-12", Flavor: "lab.tiny",
		Network: []string{"lab-net"}, User: "root",
		Source: "os" + random(), Installation: "inst-" + random(), Dir: t.TempDir(), RateLimit: 100, Poll: 500 * time.Millisecond,
		UserData: write(t, t.TempDir(), "quick", "#!/bin/sh\n"+quickLogins),
	}
}

// quickLogins has a server of the lab heed no login files. They are those of root of this machine,
// whatever they say: where one takes a lock, a login that is cut off, as by a resize, leaves it on
// the server's disk, and each command after it waits.
const quickLogins = "rm -f /root/.bashrc /root/.bash_profile /root/.bash_login /root/.profile\n"

func openAt(t *testing.T, o openstack.Options) *openstack.Provider {
	t.Helper()
	p, err := openstack.Open(t.Context(), slog.New(slog.DiscardHandler), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.CloseIdle)
	return p
}

// session speaks to the lab beside the provider under test.
func session(t *testing.T, cloud string) *openstack.Session {
	t.Helper()
	cred, err := credentials.Find(credentials.Where{
		Cloud: cloud, File: computetest.OpenStack(t), Getenv: func(string) string { return "" },
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

// left lists whatever in the project carries a source's mark, or its name, of every kind.
func left(t *testing.T, s *openstack.Session, source string) (out []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	// whole words: the digest of a key's name may begin as an instance's number does
	of := regexp.MustCompile(`\b` + regexp.QuoteMeta(source) + `\b`)
	add := func(kind, id, text string) {
		if of.MatchString(text) {
			out = append(out, kind+" "+id)
		}
	}
	fail := func(err error) {
		if err != nil {
			t.Errorf("list what is left: %v", err)
		}
	}
	c, err := s.Compute(ctx)
	fail(err)
	page, err := servers.List(c, servers.ListOpts{}).AllPages(ctx)
	fail(err)
	all, err := servers.ExtractServers(page)
	fail(err)
	for _, x := range all {
		add("server", x.ID, x.Name+fmt.Sprint(x.Metadata))
	}
	page, err = keypairs.List(c, nil).AllPages(ctx)
	fail(err)
	keys, err := keypairs.ExtractKeyPairs(page)
	fail(err)
	for _, x := range keys {
		add("key pair", x.Name, x.Name)
	}
	n, err := s.Network(ctx)
	fail(err)
	page, err = ports.List(n, ports.ListOpts{}).AllPages(ctx)
	fail(err)
	ps, err := ports.ExtractPorts(page)
	fail(err)
	for _, x := range ps {
		add("port", x.ID, x.Name+x.Description)
	}
	page, err = floatingips.List(n, floatingips.ListOpts{}).AllPages(ctx)
	fail(err)
	ips, err := floatingips.ExtractFloatingIPs(page)
	fail(err)
	for _, x := range ips {
		add("floating IP", x.ID, x.Description)
	}
	v, err := s.Volumes(ctx)
	fail(err)
	page, err = volumes.List(v, volumes.ListOpts{}).AllPages(ctx)
	fail(err)
	vs, err := volumes.ExtractVolumes(page)
	fail(err)
	for _, x := range vs {
		add("volume", x.ID, x.Name+fmt.Sprint(x.Metadata))
	}
	i, err := s.Images(ctx)
	fail(err)
	page, err = images.List(i, images.ListOpts{}).AllPages(ctx)
	fail(err)
	is, err := images.ExtractImages(page)
	fail(err)
	for _, x := range is {
		add("image", x.ID, x.Name+fmt.Sprint(x.Properties))
	}
	return out
}

func create(t *testing.T, p *openstack.Provider, spec compute.Spec) compute.Instance {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	in, err := p.Create(ctx, spec)
	t.Cleanup(func() { destroy(t, p, spec.ID) })
	if err != nil {
		t.Fatalf("Create(%s): %v", spec.ID, err)
	}
	return in
}

func destroy(t *testing.T, p *openstack.Provider, id compute.ID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for {
		err := p.Destroy(ctx, id)
		if errors.Is(err, compute.ErrNotFound) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("Destroy(%s): %v", id, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// connect waits until a server is ready, or is said to be never so.
func connect(t *testing.T, p *openstack.Provider, id compute.ID) (compute.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var why error // why it was not ready when asked last: Connect may end with the wait's own end
	for {
		c, err := p.Connect(ctx, id)
		if ctx.Err() != nil && err != nil {
			t.Fatalf("Connect(%s): %v; before that: %v", id, err, why)
		}
		if !errors.Is(err, compute.ErrNotReady) {
			if err == nil {
				t.Cleanup(func() { c.Close() })
			}
			return c, err
		}
		why = err
		time.Sleep(200 * time.Millisecond)
	}
}

func sh(t *testing.T, c compute.Conn, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var out, bad bytes.Buffer
	exit, err := c.Run(ctx, &compute.Command{Args: []string{"sh", "-c", script}, Stdout: &out, Stderr: &bad})
	if err != nil || exit.Status() != 0 {
		t.Fatalf("%s: err = %v, exit = %+v, bad = %s; want no error and exit.Status() == 0", script, err, exit, bad.String())
	}
	return strings.TrimSpace(out.String())
}

func TestProvider(t *testing.T) {
	o := options(t)
	s := session(t, "lab")
	computetest.Provider(t, computetest.ProviderOptions{
		New: func(t *testing.T) compute.Provider { return openAt(t, o) },
		Foreign: func(t *testing.T) compute.Provider {
			other := o
			other.Installation = "other-" + random()
			return openAt(t, other)
		},
		Slow: func(t *testing.T) compute.Provider {
			slow := o
			slow.Metadata = []string{"lab_build_seconds=4"}
			return openAt(t, slow)
		},
		Source: o.Source, Installation: o.Installation, Parallel: 2, Patience: 4 * time.Minute,
		Leak: func() []string { return left(t, s, o.Source) },
	})
}

// imagesOf are the ids of the project's images of a name.
func imagesOf(t *testing.T, s *openstack.Session, name string) (ids []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c, err := s.Images(ctx)
	if err != nil {
		t.Fatal(err)
	}
	page, err := images.List(c, images.ListOpts{}).AllPages(ctx)
	if err != nil {
		t.Fatal(err)
	}
	all, err := images.ExtractImages(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Name == name {
			ids = append(ids, i.ID)
		}
	}
	return ids
}

func deleteImages(t *testing.T, s *openstack.Session, name string) {
	t.Helper()
	for _, id := range imagesOf(t, s, name) {
		c, err := s.Images(context.Background())
		if err == nil {
			err = images.Delete(context.Background(), c, id).ExtractErr()
		}
		if err != nil {
			t.Errorf("delete image %s: %v", id, err)
		}
	}
}
