package deployment_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/routers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/rules"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/credentials"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// unique is in the names of everything that this process makes: the lab is everybody's.
var unique = fmt.Sprintf("%d-%d", os.Getpid(), time.Now().Unix()%100000)

// wire is what a test's requests go through. It dies, for good, before or after a request that
// changes something, as a process does.
type wire struct {
	http.RoundTripper
	mu     sync.Mutex
	left   int // so many changing requests are let through; negative: all
	after  bool
	dead   bool
	refuse func(*http.Request) *http.Response // in place of the cloud; nil: nothing
}

var errDead = errors.New("this process is dead")

func (w *wire) isDead() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	changes := req.Method != http.MethodGet && !strings.HasSuffix(req.URL.Path, "/auth/tokens")
	w.mu.Lock()
	dying := changes && w.left == 0
	if changes && w.left > 0 {
		w.left--
	}
	dead := w.dead
	if dying {
		w.dead = true
	}
	after, refuse := w.after, w.refuse
	w.mu.Unlock()
	if dead || dying && !after {
		return nil, errDead
	}
	if refuse != nil {
		if resp := refuse(req); resp != nil {
			return resp, nil
		}
	}
	resp, err := w.RoundTripper.RoundTrip(req)
	if dying && err == nil {
		_ = resp.Body.Close()
		return nil, errDead
	}
	return resp, err
}

// memory is a Store that dies with its wire.
type memory struct {
	wire *wire
	all  map[string]deployment.Record
}

func (m *memory) Deployment(_ context.Context, name string) (*deployment.Record, error) {
	r, ok := m.all[name]
	if !ok {
		return nil, compute.ErrNotFound
	}
	r.Things = slices.Clone(r.Things)
	return &r, nil
}

func (m *memory) SaveDeployment(_ context.Context, r *deployment.Record) error {
	if m.wire != nil && m.wire.isDead() {
		return errDead
	}
	kept := *r
	kept.Things = slices.Clone(r.Things)
	m.all[r.Name] = kept
	return nil
}

func (m *memory) DropDeployment(_ context.Context, name string) error {
	delete(m.all, name)
	return nil
}

// trial is a project of the lab with a deployment in it.
type trial struct {
	*testing.T
	cloud deployment.Cloud
	wire  *wire
	store *memory
	opt   deployment.Options
	steps []deployment.Step
}

// login signs in to a project of the lab.
func login(t *testing.T, project string) (deployment.Cloud, *wire) {
	t.Helper()
	file := computetest.OpenStack(t)
	cred, err := credentials.Find(credentials.Where{Cloud: project, File: file, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	base := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(base.CloseIdleConnections)
	w := &wire{RoundTripper: base, left: -1}
	s, err := openstack.NewSession(cred, openstack.SessionOptions{Base: w, Rate: 1000, Retries: -1, Timeout: 2 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	cloud, err := deployment.Open(t.Context(), s, project)
	if err != nil {
		t.Fatal(err)
	}
	return cloud, w
}

// newTrial is a trial of a name, torn down at the test's end.
func newTrial(t *testing.T, project, name string) *trial {
	t.Helper()
	tr := &trial{T: t}
	tr.cloud, tr.wire = login(t, project)
	tr.store = &memory{wire: tr.wire, all: map[string]deployment.Record{}}
	tr.opt = deployment.Options{
		Name: name, Installation: "inst-" + unique, Keys: t.TempDir(), Store: tr.store, Metadata: "none", Patience: time.Minute,
		Tell: func(s deployment.Step) { tr.steps = append(tr.steps, s) },
	}
	t.Cleanup(func() {
		tr.wire.mu.Lock()
		tr.wire.left, tr.wire.dead, tr.wire.refuse = -1, false, nil
		tr.wire.mu.Unlock()
		opt := tr.opt
		opt.Tell, opt.DryRun = nil, false
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := deployment.Teardown(ctx, tr.cloud, opt); err != nil && !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("the teardown at the end: %v", err)
		}
	})
	return tr
}

// did lists what happened in a step, as "made network".
func (tr *trial) did() (out []string) {
	for _, s := range tr.steps {
		out = append(out, s.Did+" "+s.Kind)
	}
	tr.steps = nil
	return out
}

func (tr *trial) deploy(s deployment.Settings) (*deployment.Record, error) {
	tr.Helper()
	tr.steps = nil
	return deployment.Deploy(tr.Context(), tr.cloud, tr.opt, s)
}

func (tr *trial) mustDeploy(s deployment.Settings) *deployment.Record {
	tr.Helper()
	rec, err := tr.deploy(s)
	if err != nil {
		tr.Fatal(err)
	}
	return rec
}

func (tr *trial) teardown() error {
	tr.Helper()
	tr.steps = nil
	return deployment.Teardown(tr.Context(), tr.cloud, tr.opt)
}

// listing lists every kind of thing in the project whose name or description has a word: what is
// there, not what the package under test thinks is.
func listing(t *testing.T, c deployment.Cloud, word string) (out []string) {
	t.Helper()
	ctx := t.Context()
	add := func(kind, id string, texts ...string) {
		if strings.Contains(strings.Join(texts, " "), word) {
			out = append(out, kind+" "+id)
		}
	}
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	nets, err := allOf(ctx, networks.List(c.Network, networks.ListOpts{ProjectID: c.Project}), networks.ExtractNetworks)
	check(err)
	for _, n := range nets {
		add("network", n.ID, n.Name, n.Description, strings.Join(n.Tags, " "))
	}
	subs, err := allOf(ctx, subnets.List(c.Network, subnets.ListOpts{ProjectID: c.Project}), subnets.ExtractSubnets)
	check(err)
	for _, s := range subs {
		add("subnet", s.ID, s.Name, s.Description)
	}
	routersThere, err := allOf(ctx, routers.List(c.Network, routers.ListOpts{ProjectID: c.Project}), routers.ExtractRouters)
	check(err)
	for _, r := range routersThere {
		add("router", r.ID, r.Name, r.Description)
	}
	portsThere, err := allOf(ctx, ports.List(c.Network, ports.ListOpts{ProjectID: c.Project}), ports.ExtractPorts)
	check(err)
	for _, p := range portsThere {
		add("port", p.ID, p.Name, p.Description)
	}
	ips, err := allOf(ctx, floatingips.List(c.Network, floatingips.ListOpts{ProjectID: c.Project}), floatingips.ExtractFloatingIPs)
	check(err)
	for _, ip := range ips {
		add("floating IP", ip.ID, ip.Description)
	}
	secgroups, err := allOf(ctx, groups.List(c.Network, groups.ListOpts{ProjectID: c.Project}), groups.ExtractGroups)
	check(err)
	for _, g := range secgroups {
		add("security group", g.ID, g.Name, g.Description)
	}
	keys, err := allOf(ctx, keypairs.List(c.Compute, nil), keypairs.ExtractKeyPairs)
	check(err)
	for _, k := range keys {
		add("key pair", k.Name, k.Name, k.PublicKey)
	}
	machines, err := allOf(ctx, servers.List(c.Compute, servers.ListOpts{}), servers.ExtractServers)
	check(err)
	for _, s := range machines {
		add("server", s.ID, s.Name, fmt.Sprint(s.Metadata))
	}
	disks, err := allOf(ctx, volumes.List(c.Volume, volumes.ListOpts{}), volumes.ExtractVolumes)
	check(err)
	for _, v := range disks {
		add("volume", v.ID, v.Name, v.Description, fmt.Sprint(v.Metadata))
	}
	slices.Sort(out)
	return out
}

// ruleTexts are a security group's rules for what comes in.
func ruleTexts(t *testing.T, c deployment.Cloud, group string) (out []string) {
	t.Helper()
	all, err := allOf(t.Context(), rules.List(c.Network, rules.ListOpts{SecGroupID: group, Direction: "ingress"}), rules.ExtractRules)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		out = append(out, fmt.Sprintf("%s %s %d-%d %s", r.EtherType, r.Protocol, r.PortRangeMin, r.PortRangeMax, r.RemoteIPPrefix))
	}
	slices.Sort(out)
	return out
}

// must is for requests that prepare a test.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		var answer gophercloud.ErrUnexpectedResponseCode
		if errors.As(err, &answer) {
			t.Fatalf("%v: answer.Body = %s; want !errors.As(err, &answer)", err, answer.Body)
		}
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// imageNamed returns the id of an image of the lab.
func imageNamed(t *testing.T, name string) string {
	t.Helper()
	cred, err := credentials.Find(credentials.Where{
		Cloud: "lab", File: computetest.OpenStack(t), Getenv: func(string) string { return "" },
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := openstack.NewSession(cred, openstack.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.CloseIdle()
	client := must[*gophercloud.ServiceClient](t)(s.Images(t.Context()))
	all := must[[]images.Image](t)(allOf(t.Context(), images.List(client, images.ListOpts{Name: name}), images.ExtractImages))
	if len(all) == 0 {
		t.Fatalf("the lab has no image %s", name)
	}
	return all[0].ID
}
