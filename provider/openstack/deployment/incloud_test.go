package deployment_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// TestInCloud is told by a metadata service that it runs on a server of the project: that server's
// network is used, nothing of a network is made, and the server outlives the teardown though it
// carries the deployment's mark.
func TestInCloud(t *testing.T) {
	tr := newTrial(t, "lab", "dep-within-"+unique)
	ctx, c := t.Context(), tr.cloud
	var flavor string
	for _, f := range must[[]flavors.Flavor](t)(allOf(ctx, flavors.ListDetail(c.Compute, nil), flavors.ExtractFlavors)) {
		if f.Name == "lab.tiny" {
			flavor = f.ID
		}
	}
	shared := must[[]networks.Network](t)(allOf(
		ctx, networks.List(c.Network, networks.ListOpts{Name: "lab-net"}), networks.ExtractNetworks,
	))
	marks := map[string]string{"hostler:installation": tr.opt.Installation, "hostler:deployment": tr.opt.Name}
	self := must[*servers.Server](t)(servers.Create(
		ctx, c.Compute,
		servers.CreateOpts{
			Name: tr.opt.Name, FlavorRef: flavor, ImageRef: imageNamed(t, "cirros"), Metadata: marks,
			Networks: []servers.Network{{UUID: shared[0].ID}},
		},
		nil,
	).Extract())
	t.Cleanup(func() { _ = servers.Delete(context.WithoutCancel(ctx), c.Compute, self.ID) })
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(300 * time.Millisecond) {
		s := must[*servers.Server](t)(servers.Get(ctx, c.Compute, self.ID).Extract())
		if s.Status == "ACTIVE" {
			break
		}
		if s.Status == "ERROR" || time.Now().After(end) {
			t.Fatalf("the server is %s: %s", s.Status, s.Fault.Message)
		}
	}
	var uuid atomic.Value
	uuid.Store(self.ID)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/openstack/latest/meta_data.json" {
			http.NotFound(w, r)
			return
		}
		_, _ = fmt.Fprintf(w, `{"uuid": %q, "name": "whatever"}`, uuid.Load())
	}))
	defer service.Close()
	tr.opt.Metadata = service.URL

	if _, err := tr.deploy(deployment.Settings{Ports: []string{"22"}, CIDR: "10.83.0.0/24"}); err == nil ||
		!strings.Contains(err.Error(), "127.78.0.0/24") || !strings.Contains(compute.Hint(err), "--network-cidr") {
		t.Errorf("a range that the server's networks do not have: %v (%s)", err, compute.Hint(err))
	}
	rec := tr.mustDeploy(deployment.Settings{Ports: []string{"22"}, CIDR: "127.78.0.0/24"})
	if rec.InCloud != self.ID || rec.ID(deployment.Network) != shared[0].ID || rec.Thing(deployment.Network).Made ||
		rec.Thing(deployment.Router) != nil {
		t.Errorf("it is recorded as %+v", rec)
	}
	if steps := tr.did(); slices.Contains(steps, "made network") || slices.Contains(steps, "made subnet") ||
		slices.Contains(steps, "made router") || !slices.Contains(steps, "made security group") {
		t.Errorf("it did %q", steps)
	}
	marked := must[*ports.Port](t)(ports.Create(
		ctx, c.Network,
		ports.CreateOpts{
			NetworkID: shared[0].ID, Name: tr.opt.Name, DeviceID: self.ID,
			Description: "hostler:installation=" + tr.opt.Installation + " hostler:deployment=" + tr.opt.Name,
		},
	).Extract())
	defer func() { _ = ports.Delete(context.WithoutCancel(ctx), c.Network, marked.ID).ExtractErr() }()
	if err := tr.teardown(); err != nil {
		t.Error(err)
	}
	if steps := tr.did(); !slices.Contains(steps, "left server") || !slices.Contains(steps, "deleted security group") ||
		!slices.Contains(steps, "deleted key pair") {
		t.Errorf("the teardown did %q", steps)
	}
	if got, want := listing(t, c, tr.opt.Name), []string{"port " + marked.ID, "server " + self.ID}; !slices.Equal(got, want) {
		t.Errorf("left: %v, want %v", got, want)
	}

	// From elsewhere it goes too. A server of another project, or of another cloud: that machine is
	// outside.
	tr.opt.Metadata = "none"
	if err := tr.teardown(); err != nil {
		t.Errorf("the teardown from elsewhere: %v", err)
	}
	if got := listing(t, c, tr.opt.Name); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	uuid.Store("00000000-0000-0000-0000-000000000000")
	if s, err := deployment.InCloud(ctx, c, service.URL); s != nil || err != nil {
		t.Errorf("a server that is not there: %v, %v", s, err)
	}
}
