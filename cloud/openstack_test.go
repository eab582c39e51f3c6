package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"github.com/hostler-project/hostler/cloud"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/credentials"
	"github.com/hostler-project/hostler/store/sqlite"
)

// openLab opens a cloud on the lab's real OpenStack, under a name of its own. At the test's end it
// is torn down, and then the project is asked for whatever may be left of it.
func openLab(t *testing.T, change func(*openstack.Options)) (*cloud.Cloud, string) {
	t.Helper()
	if os.Geteuid() != 0 && os.Getenv("HOSTLER_REQUIRE_LAB") == "" {
		t.Skip("the lab's servers are root's")
	}
	file := computetest.OpenStack(t)
	cred, err := credentials.Find(credentials.Where{Cloud: "lab", File: file, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	session, err := openstack.NewSession(cred, openstack.SessionOptions{Rate: 100})
	if err != nil {
		t.Fatal(err)
	}
	base := openstack.Options{Cloud: "lab", Session: session, Network: []string{"lab-net"}, Pool: "public"}
	if change != nil {
		change(&base)
	}
	name, dir := "cloudgo-"+uuid.NewString()[:8], t.TempDir()
	store, err := sqlite.Open(context.Background(), filepath.Join(dir, "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := cloud.New(
		t.Context(),
		cloud.Options{
			Resource: name, Store: store, Dir: filepath.Join(dir, "keys"), Open: cloud.OpenStack(base),
			Log: slog.New(slog.DiscardHandler),
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if _, err := c.TearDown(ctx, false); err != nil && !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("tear down: %v", err)
		}
		for _, thing := range leftOf(ctx, t, session, name, store.Installation()) {
			t.Errorf("left in the project: %s", thing)
		}
		if err := errors.Join(c.Close(), store.Close()); err != nil {
			t.Error(err)
		}
		session.CloseIdle()
	})
	return c, name
}

// leftOf lists what is in the project of a name or with an installation's mark.
func leftOf(ctx context.Context, t *testing.T, s *openstack.Session, name, installation string) (out []string) {
	t.Helper()
	is := func(kind string, texts ...string) {
		for _, text := range texts {
			if strings.Contains(text, name) || strings.Contains(text, installation) {
				out = append(out, kind+" "+strings.Join(texts, " "))
				return
			}
		}
	}
	nova, err := s.Compute(ctx)
	if err != nil {
		t.Fatal(err)
	}
	neutron, err := s.Network(ctx)
	if err != nil {
		t.Fatal(err)
	}
	page, err := servers.List(nova, nil).AllPages(ctx)
	all, err2 := servers.ExtractServers(page)
	keyPage, err3 := keypairs.List(nova, nil).AllPages(ctx)
	keys, err4 := keypairs.ExtractKeyPairs(keyPage)
	portPage, err5 := ports.List(neutron, nil).AllPages(ctx)
	allPorts, err6 := ports.ExtractPorts(portPage)
	floatPage, err7 := floatingips.List(neutron, nil).AllPages(ctx)
	floats, err8 := floatingips.ExtractFloatingIPs(floatPage)
	groupPage, err9 := groups.List(neutron, groups.ListOpts{}).AllPages(ctx)
	allGroups, err10 := groups.ExtractGroups(groupPage)
	if err := errors.Join(err, err2, err3, err4, err5, err6, err7, err8, err9, err10); err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		is("server", s.Name, fmt.Sprint(s.Metadata))
	}
	for _, k := range keys {
		is("key pair", k.Name)
	}
	for _, p := range allPorts {
		is("port", p.Name, p.Description)
	}
	for _, f := range floats {
		is("floating IP", f.FloatingIP, f.Description)
	}
	for _, g := range allGroups {
		is("security group", g.Name, g.Description)
	}
	return out
}

// TestOpenStackExample does the example's session on the lab's real OpenStack.
func TestOpenStackExample(t *testing.T) {
	t.Parallel()
	c, name := openLab(t, nil)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("carried"), 0o640); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	deploy := cloud.DeployConfig{RequiredPorts: []int{22}, Network: "lab-net"}
	err := work(
		t.Context(), c, deploy,
		cloud.Order{OS: "debian-12", User: "debian", ConfigFiles: []cloud.File{{Local: file, Remote: "~/carried"}}},
		&out,
	)
	if err != nil {
		t.Fatalf("err = %v\nout = %s; want no error", err, out.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "spawned lab.tiny at 127.78.") || lines[1] != "ready" ||
		!strings.HasPrefix(lines[2], name) || lines[3] != "idle and gone" {
		t.Errorf("lines = %q", lines)
	}
	deleted, err := c.TearDown(t.Context(), true)
	if err != nil || !strings.Contains(strings.Join(deleted, ","), "key pair "+name) {
		t.Errorf("what would be deleted: %q, %v", deleted, err)
	}
}

// TestOpenStackHead: a head node that is reached from outside, found again by another process,
// which takes it over when the first is gone.
func TestOpenStackHead(t *testing.T) {
	t.Parallel()
	c, _ := openLab(t, nil)
	ctx := t.Context()
	d := must(c.Deploy(ctx, cloud.DeployConfig{RequiredPorts: []int{22}, Network: "lab-net"}))(t)
	if !strings.Contains(c.PrivateKey(), "PRIVATE KEY") || d.Details["keypair"] == "" || d.Project == "" {
		t.Errorf(`d = %+v; want c.PrivateKey() with "PRIVATE KEY" and d.Details["keypair"] != "" and d.Project != ""`, d)
	}
	if again := must(c.Deploy(
		ctx, cloud.DeployConfig{RequiredPorts: []int{22}, Network: "lab-net"},
	))(t); fmt.Sprint(again) != fmt.Sprint(d) {
		t.Errorf("deployed again it is %v, and was %v", again, d)
	}
	head := must(c.Spawn(ctx, cloud.Order{OS: "debian-12", User: "root", Flavor: "lab.tiny", ExternalIP: true}))(t)
	if err := head.WaitUntilReady(ctx, nil, ""); err != nil {
		t.Fatal(err)
	}
	if !head.IsHeadNode || !strings.HasPrefix(head.IP, "127.79.") || !head.Alive(ctx, true) {
		known, err := head.Known(ctx)
		_, err2 := head.SSHSession(ctx)
		t.Errorf("the head node is at %s, head: %v; known: %v, %v; a session: %v", head.IP, head.IsHeadNode, known, err, err2)
	}
	if n := must(c.GetQuota(ctx))(t); n.Max.Instances != 60 || n.Used.Instances < 1 {
		t.Errorf("n = %+v; want n.Max.Instances == 60 and n.Used.Instances >= 1", n)
	}
	var signals int
	_, err := c.Spawn(ctx, cloud.Order{OS: "debian-12", User: "root", Flavor: "lab.huge", UsingQuota: func() { signals++ }})
	if !c.ErrIsNoHardware(err) || signals != 1 {
		t.Errorf("no hardware: %v, signalled %d times", err, signals)
	}
	if _, err := c.Spawn(ctx, cloud.Order{OS: "no-such-image", Flavor: "lab.tiny"}); !errors.Is(err, compute.ErrNotFound) ||
		!strings.Contains(err.Error(), "no-such-image") {
		t.Errorf("no image: %v", err)
	}
	if all := must(c.Servers(ctx))(t); len(all) != 1 {
		t.Errorf("there are %d servers", len(all))
	}
}

// TestOpenStackBeforeDeploy spawns first and deploys then: the key of the first server goes in the
// end, too.
func TestOpenStackBeforeDeploy(t *testing.T) {
	t.Parallel()
	c, _ := openLab(t, nil)
	if s, err := c.Spawn(t.Context(), cloud.Order{OS: "debian-12", User: "root", Flavor: "lab.tiny"}); err != nil || s.Name == "" {
		t.Fatal(err)
	}
	must(c.Deploy(t.Context(), cloud.DeployConfig{RequiredPorts: []int{22}, Network: "lab-net"}))(t)
}
