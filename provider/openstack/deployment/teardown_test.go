package deployment_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// TestKilledAtEachStep has the process die after each request that changes something, before it
// hears the answer, and another go on: there is never more than one of anything, and at the end
// nothing.
func TestKilledAtEachStep(t *testing.T) {
	tr := newTrial(t, "lab", "dep-killed-"+unique)
	s := deployment.Settings{Ports: []string{"22"}, CIDR: "10.81.0.0/24"}
	const most = 40 // changing requests there are far fewer
	if deaths := tr.untilAlive("deploy", most, func() error { _, err := tr.deploy(s); return err }); deaths < 8 {
		t.Errorf("deploy: it died %d times only", deaths)
	}
	got := listing(t, tr.cloud, tr.opt.Name)
	var kinds []string
	for _, line := range got {
		kind, _, _ := strings.Cut(line, " ")
		kinds = append(kinds, kind)
	}
	if want := []string{"key", "network", "router", "security", "subnet"}; !slices.Equal(kinds, want) {
		t.Errorf("there are %v", got)
	}
	rec := tr.mustDeploy(s)
	for _, step := range tr.did() {
		if !strings.HasPrefix(step, deployment.Found) {
			t.Errorf("after all that: %s", step)
		}
	}
	if rec.Thing(deployment.Interface) == nil {
		t.Errorf("no interface is recorded: %+v", rec.Things)
	}
	if deaths := tr.untilAlive("teardown", most, tr.teardown); deaths < 5 {
		t.Errorf("teardown: it died %d times only", deaths)
	}
	if got := listing(t, tr.cloud, tr.opt.Name); len(got) != 0 || len(tr.store.all) != 0 {
		t.Errorf("left: %v %v", got, tr.store.all)
	}
}

// untilAlive does something again and again, each time dying after its first changing request,
// until it has nothing more to change. It returns how often it died.
func (tr *trial) untilAlive(verb string, most int, do func() error) (deaths int) {
	tr.Helper()
	for range most {
		tr.wire.mu.Lock()
		tr.wire.left, tr.wire.after, tr.wire.dead = 0, true, false
		tr.wire.mu.Unlock()
		err := do()
		dead := tr.wire.isDead()
		tr.wire.mu.Lock()
		tr.wire.left, tr.wire.dead = -1, false
		tr.wire.mu.Unlock()
		if !dead {
			if err != nil {
				tr.Fatalf("%s after %d deaths: %v", verb, deaths, err)
			}
			return deaths
		}
		if err == nil {
			tr.Fatalf("%s: it died and said nothing", verb)
		}
		deaths++
	}
	tr.Fatalf("%s: still not done after %d deaths", verb, deaths)
	return deaths
}

// TestTeardownOfServers takes servers, ports, volumes and floating IPs of the deployment, and
// leaves those of others, whatever their names.
func TestTeardownOfServers(t *testing.T) {
	tr := newTrial(t, "lab", "dep-full-"+unique)
	ctx, c := t.Context(), tr.cloud
	rec := tr.mustDeploy(deployment.Settings{Network: "lab-net"})
	network := rec.ID(deployment.Network)
	marks := map[string]string{"hostler:installation": tr.opt.Installation, "hostler:deployment": tr.opt.Name}
	text := "hostler:installation=" + tr.opt.Installation + " hostler:deployment=" + tr.opt.Name + " hostler:source=s hostler:instance=s-1"

	flavor, image := "", ""
	for _, f := range must[[]flavors.Flavor](t)(allOf(ctx, flavors.ListDetail(c.Compute, nil), flavors.ExtractFlavors)) {
		if f.Name == "lab.tiny" {
			flavor = f.ID
		}
	}
	image = imageNamed(t, "cirros")
	server := func(name string, meta map[string]string) *servers.Server {
		t.Helper()
		return must[*servers.Server](t)(servers.Create(
			ctx, c.Compute,
			servers.CreateOpts{
				Name: name, FlavorRef: flavor, ImageRef: image, Metadata: meta,
				Networks: []servers.Network{{UUID: network}},
			},
			nil,
		).Extract())
	}
	mine := server(tr.opt.Name+"-1", marks)
	theirs := server(tr.opt.Name+"-theirs", map[string]string{"hostler:installation": "another", "hostler:deployment": tr.opt.Name})
	defer func() { _ = servers.Delete(context.WithoutCancel(ctx), c.Compute, theirs.ID) }()
	must[*ports.Port](t)(ports.Create(ctx, c.Network, ports.CreateOpts{NetworkID: network, Name: tr.opt.Name, Description: text}).Extract())
	theirPort := must[*ports.Port](t)(ports.Create(ctx, c.Network, ports.CreateOpts{NetworkID: network, Name: tr.opt.Name}).Extract())
	defer func() { _ = ports.Delete(context.WithoutCancel(ctx), c.Network, theirPort.ID) }()
	must[*volumes.Volume](t)(volumes.Create(ctx, c.Volume, volumes.CreateOpts{Size: 1, Name: tr.opt.Name, Metadata: marks}, nil).Extract())
	public := must[[]networks.Network](t)(allOf(ctx, networks.List(c.Network, networks.ListOpts{Name: "public"}), networks.ExtractNetworks))
	must[*floatingips.FloatingIP](t)(floatingips.Create(
		ctx, c.Network, floatingips.CreateOpts{FloatingNetworkID: public[0].ID, Description: text},
	).Extract())

	dry := tr.opt
	dry.DryRun = true
	tr.steps = nil
	if err := deployment.Teardown(ctx, c, dry); err != nil {
		t.Fatal(err)
	}
	if got, want := tr.did(), []string{
		"would delete server", "would delete port", "would delete volume", "would delete floating IP",
		"would delete key pair", "left network", "left subnet",
	}; !slices.Equal(got, want) {
		t.Errorf("the dry run says %q", got)
	}
	if err := tr.teardown(); err != nil {
		t.Fatal(err)
	}
	if got, want := listing(t, c, tr.opt.Name), []string{"port " + theirPort.ID, "server " + theirs.ID}; !slices.Equal(got, want) {
		t.Errorf("left %v and not %v; ours was %s", got, want, mine.ID)
	}
}

// TestTeardownOnOneOfItsServers leaves the server that it runs on with what it needs, though
// another machine deployed.
func TestTeardownOnOneOfItsServers(t *testing.T) {
	tr := newTrial(t, "lab", "dep-own-"+unique)
	ctx, c := t.Context(), tr.cloud
	rec := tr.mustDeploy(deployment.Settings{CIDR: "10.84.0.0/24", Ports: []string{"22"}})
	network, group := rec.ID(deployment.Network), rec.ID(deployment.Group)
	marks := map[string]string{"hostler:installation": tr.opt.Installation, "hostler:deployment": tr.opt.Name}
	text := "hostler:installation=" + tr.opt.Installation + " hostler:deployment=" + tr.opt.Name + " hostler:source=s hostler:instance=s-1"
	before := slices.DeleteFunc(listing(t, c, tr.opt.Name), func(s string) bool { return strings.HasPrefix(s, "key pair") })
	var flavor string
	for _, f := range must[[]flavors.Flavor](t)(allOf(ctx, flavors.ListDetail(c.Compute, nil), flavors.ExtractFlavors)) {
		if f.Name == "lab.tiny" {
			flavor = f.ID
		}
	}
	public := must[[]networks.Network](t)(allOf(ctx, networks.List(c.Network, networks.ListOpts{Name: "public"}), networks.ExtractNetworks))
	made := map[string]string{}
	for _, who := range []string{"own", "other"} {
		port := must[*ports.Port](t)(ports.Create(
			ctx, c.Network,
			ports.CreateOpts{NetworkID: network, Name: tr.opt.Name, Description: text, SecurityGroups: &[]string{group}},
		).Extract())
		ip := must[*floatingips.FloatingIP](t)(floatingips.Create(
			ctx, c.Network, floatingips.CreateOpts{FloatingNetworkID: public[0].ID, PortID: port.ID, Description: text},
		).Extract())
		s := must[*servers.Server](t)(servers.Create(
			ctx, c.Compute,
			servers.CreateOpts{
				Name: tr.opt.Name + "-" + who, FlavorRef: flavor, ImageRef: imageNamed(t, "cirros"), Metadata: marks,
				Networks: []servers.Network{{Port: port.ID}},
			},
			nil,
		).Extract())
		made[who+" port"], made[who+" ip"], made[who] = port.ID, ip.ID, s.ID
	}
	until(t, "both have their ports", func() error {
		for _, who := range []string{"own", "other"} {
			if p, err := ports.Get(ctx, c.Network, made[who+" port"]).Extract(); err != nil || p.DeviceID != made[who] {
				return fmt.Errorf("%+v, %v", p, err)
			}
		}
		return nil
	})
	service := httptest.NewServer(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"uuid": %q}`, made["own"]) }),
	)
	defer service.Close()
	tr.opt.Metadata = service.URL
	err := tr.teardown()
	if did := tr.did(); err != nil || !slices.Contains(did, "left server") {
		t.Errorf(`err = %v, did = %q; want no error and did with "left server"`, err, did)
	}
	want := slices.Sorted(slices.Values(append(before, "floating IP "+made["own ip"], "port "+made["own port"], "server "+made["own"])))
	if got := listing(t, c, tr.opt.Name); !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
	tr.opt.Metadata = "none" // from elsewhere all of it goes
	if err := tr.teardown(); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, c, tr.opt.Name); len(got) != 0 {
		t.Errorf("left %q", got)
	}
}

// until waits for a condition.
func until(t *testing.T, what string, is func() error) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := is()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: err = %v; want !time.Now().After(end)", what, err)
		}
	}
}

// TestDeletedByHand is done at once where everything was deleted by hand.
func TestDeletedByHand(t *testing.T) {
	tr := newTrial(t, "lab", "dep-hand-"+unique)
	tr.mustDeploy(deployment.Settings{Ports: []string{"22"}, Network: "lab-net"})
	// Between the look and the deletes somebody is quicker: 404 is success.
	tr.wire.mu.Lock()
	tr.wire.refuse = func(req *http.Request) *http.Response {
		if req.Method != http.MethodDelete {
			return nil
		}
		if resp, err := tr.wire.RoundTripper.RoundTrip(req.Clone(req.Context())); err == nil {
			_ = resp.Body.Close()
		}
		w := httptest.NewRecorder()
		w.WriteHeader(http.StatusNotFound)
		return w.Result()
	}
	tr.wire.mu.Unlock()
	if err := tr.teardown(); err != nil {
		t.Fatal(err)
	}
	if did, want := tr.did(), []string{"gone security group", "gone key pair", "left network", "left subnet"}; !slices.Equal(did, want) {
		t.Errorf("it says %q", did)
	}
	tr.wire.mu.Lock()
	tr.wire.refuse = nil
	tr.wire.mu.Unlock()
	// all of it gone before the look
	rec := tr.mustDeploy(deployment.Settings{Ports: []string{"22"}, Network: "lab-net"})
	if err := groups.Delete(t.Context(), tr.cloud.Network, rec.ID(deployment.Group)).ExtractErr(); err != nil {
		t.Fatal(err)
	}
	if err := keypairs.Delete(t.Context(), tr.cloud.Compute, tr.opt.Name, nil).ExtractErr(); err != nil {
		t.Fatal(err)
	}
	if err := tr.teardown(); err != nil || len(tr.store.all) != 0 {
		t.Errorf("of what is not there: %v, recorded %v", err, tr.store.all)
	}
}

// TestEverythingIsTried collects errors and tries the rest, and goes on the next time.
func TestEverythingIsTried(t *testing.T) {
	tr := newTrial(t, "lab", "dep-tried-"+unique)
	tr.mustDeploy(deployment.Settings{Ports: []string{"22"}, Network: "lab-net"})
	tr.wire.mu.Lock()
	tr.wire.refuse = func(req *http.Request) *http.Response {
		if req.Method != http.MethodDelete || !strings.Contains(req.URL.Path, "/security-groups/") {
			return nil
		}
		w := httptest.NewRecorder()
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.WriteString(`{"forbidden": {"code": 403, "message": "Policy doesn't allow it."}}`)
		return w.Result()
	}
	tr.wire.mu.Unlock()
	err := tr.teardown()
	if !errors.Is(err, compute.ErrDenied) || !strings.Contains(err.Error(), "delete security group") ||
		!strings.Contains(err.Error(), "Policy doesn't allow it.") {
		t.Errorf("one that is refused: %v", err)
	}
	if did := tr.did(); !slices.Contains(did, "deleted key pair") {
		t.Errorf("the rest was not tried: %q", did)
	}
	tr.wire.mu.Lock()
	tr.wire.refuse = nil
	tr.wire.mu.Unlock()
	if _, err := tr.deploy(deployment.Settings{}); !errors.Is(err, compute.ErrConflict) || !strings.Contains(err.Error(), "torn down") {
		t.Errorf("deploy in the middle: %v", err)
	}
	if err := tr.teardown(); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, tr.cloud, tr.opt.Name); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}
