package deployment_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/attributestags"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/routers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/rules"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// TestDeploy deploys, deploys again, repairs what was damaged by hand, and tears down: nothing of
// ours is left, nothing of others is changed.
func TestDeploy(t *testing.T) {
	tr := newTrial(t, "lab", "dep one-"+unique)
	foreign := must[*networks.Network](t)(networks.Create(
		t.Context(), tr.cloud.Network, networks.CreateOpts{Name: tr.opt.Name + "-not-ours-" + unique},
	).Extract())
	defer func() { _ = networks.Delete(t.Context(), tr.cloud.Network, foreign.ID) }()
	settings := deployment.Settings{
		Ports: []string{"22", "8000-8010", "udp/53"}, From: []string{"203.0.113.0/24", "2001:db8::/32"},
		CIDR: "10.77.0.0/24",
	}

	dry := tr.opt
	dry.DryRun = true
	if rec, err := deployment.Deploy(t.Context(), tr.cloud, dry, settings); err != nil || rec.State != "" {
		t.Fatalf("a dry run: %+v, %v", rec, err)
	}
	if got := listing(t, tr.cloud, tr.opt.Name); len(got) != 1 || len(tr.store.all) != 0 {
		t.Fatalf("a dry run left %v, recorded %v", got, tr.store.all)
	}
	planned := tr.did()

	rec := tr.mustDeploy(settings)
	did := tr.did()
	for i, step := range planned {
		planned[i] = strings.Replace(step, deployment.WouldMake, deployment.Made, 1)
	}
	if !slices.Equal(planned, did) {
		t.Errorf("the dry run said %q, and then happened %q", planned, did)
	}
	if rec.State != deployment.Deployed || rec.ID(deployment.Network) == "" || rec.ID(deployment.Subnet) == "" ||
		rec.ID(deployment.Router) == "" || rec.ID(deployment.Group) == "" {
		t.Errorf("recorded: %+v", rec)
	}
	wanted := []string{"IPv4 icmp 0-0 203.0.113.0/24", "IPv4 tcp 22-22 203.0.113.0/24",
		"IPv4 tcp 8000-8010 203.0.113.0/24", "IPv4 udp 53-53 203.0.113.0/24",
		"IPv6 ipv6-icmp 0-0 2001:db8::/32", "IPv6 tcp 22-22 2001:db8::/32", "IPv6 tcp 8000-8010 2001:db8::/32",
		"IPv6 udp 53-53 2001:db8::/32"}
	if got := ruleTexts(t, tr.cloud, rec.ID(deployment.Group)); !slices.Equal(got, wanted) {
		t.Errorf("rules %q", got)
	}
	info, err := os.Stat(deployment.KeyFile(tr.opt.Keys, tr.opt.Name))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the private key: %v %v", info, err)
	}

	before := listing(t, tr.cloud, tr.opt.Name)
	tr.mustDeploy(settings)
	for _, step := range tr.did() {
		if !strings.HasPrefix(step, deployment.Found) {
			t.Errorf("the second deploy: %s", step)
		}
	}
	if after := listing(t, tr.cloud, tr.opt.Name); !slices.Equal(before, after) {
		t.Errorf("the second deploy made of %v %v", before, after)
	}

	// What is damaged is put right: a rule missing, one too many, the interface gone, tags gone,
	// other name servers, a network made twice.
	all := must[[]rules.SecGroupRule](t)(allOf(
		t.Context(),
		rules.List(tr.cloud.Network, rules.ListOpts{SecGroupID: rec.ID(deployment.Group), Direction: "ingress"}),
		rules.ExtractRules,
	))
	i := slices.IndexFunc(all, func(r rules.SecGroupRule) bool { return r.RemoteIPPrefix == "203.0.113.0/24" })
	if err := rules.Delete(t.Context(), tr.cloud.Network, all[i].ID).ExtractErr(); err != nil {
		t.Fatal(err)
	}
	must[*rules.SecGroupRule](t)(rules.Create(
		t.Context(), tr.cloud.Network,
		rules.CreateOpts{
			SecGroupID: rec.ID(deployment.Group), Direction: rules.DirIngress, EtherType: rules.EtherType4,
			Protocol: "tcp", PortRangeMin: 23, PortRangeMax: 23,
		},
	).Extract())
	must[*routers.InterfaceInfo](t)(routers.RemoveInterface(
		t.Context(), tr.cloud.Network, rec.ID(deployment.Router),
		routers.RemoveInterfaceOpts{SubnetID: rec.ID(deployment.Subnet)},
	).Extract())
	if err := attributestags.DeleteAll(t.Context(), tr.cloud.Network, "networks", rec.ID(deployment.Network)).ExtractErr(); err != nil {
		t.Fatal(err)
	}
	must[*networks.Network](t)(networks.Create(
		t.Context(), tr.cloud.Network,
		networks.CreateOpts{
			Name:        tr.opt.Name,
			Description: "hostler:installation=" + tr.opt.Installation + " hostler:deployment=" + tr.opt.Name,
		},
	).Extract())
	settings.DNS = []string{"192.0.2.53"}
	settings.From = settings.From[:1]
	tr.mustDeploy(settings)
	did = tr.did()
	for _, want := range []string{
		"made security group rule", "deleted security group rule", "made router interface", "deleted network",
		"repaired network", "repaired subnet",
	} {
		if !slices.Contains(did, want) {
			t.Errorf("the repair did %q, and not: %s", did, want)
		}
	}
	if got := ruleTexts(t, tr.cloud, rec.ID(deployment.Group)); !slices.Equal(got, wanted[:4]) {
		t.Errorf("rules %q", got)
	}
	sub := must[*subnets.Subnet](t)(subnets.Get(t.Context(), tr.cloud.Network, rec.ID(deployment.Subnet)).Extract())
	if !slices.Equal(sub.DNSNameservers, settings.DNS) {
		t.Errorf("name servers %v", sub.DNSNameservers)
	}

	// What is refused is refused before anything is changed: the rules, the key and the record too.
	key, keyErr := os.ReadFile(deployment.KeyFile(tr.opt.Keys, tr.opt.Name))
	there, kept := listing(t, tr.cloud, tr.opt.Name), tr.store.all[tr.opt.Name]
	for what, change := range map[string]func(*deployment.Settings){
		"another range":   func(s *deployment.Settings) { s.CIDR = "10.78.0.0/24" },
		"another gateway": func(s *deployment.Settings) { s.Gateway = "10.77.0.9" },
		"no such outside": func(s *deployment.Settings) { s.External = "nosuchnetwork" },
		"no such network": func(s *deployment.Settings) { s.Network = "nosuchnetwork" },
	} {
		other := settings
		other.Ports, other.From = []string{"443"}, []string{"198.51.100.0/24"}
		change(&other)
		tr.opt.RotateKey = true
		_, err := tr.deploy(other)
		tr.opt.RotateKey = false
		if !errors.Is(err, compute.ErrConflict) && !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("%s: err = %v; want error compute.ErrConflict or error compute.ErrNotFound", what, err)
		}
		if did := tr.did(); len(did) != 0 {
			t.Errorf("%s: it did %q before it was refused", what, did)
		}
	}
	if got := ruleTexts(t, tr.cloud, rec.ID(deployment.Group)); !slices.Equal(got, wanted[:4]) {
		t.Errorf("rules of a deploy that was refused: %q", got)
	}
	if now, err := os.ReadFile(deployment.KeyFile(tr.opt.Keys, tr.opt.Name)); keyErr != nil || err != nil || !slices.Equal(now, key) {
		t.Errorf("the key of a deploy that was refused is another: %v, %v", keyErr, err)
	}
	if now := listing(t, tr.cloud, tr.opt.Name); !slices.Equal(now, there) || !reflect.DeepEqual(tr.store.all[tr.opt.Name], kept) {
		t.Errorf("there was %v, and is %v; recorded %+v, and was %+v", there, now, tr.store.all[tr.opt.Name], kept)
	}

	if err := tr.teardown(); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, tr.cloud, tr.opt.Name); !slices.Equal(got, []string{"network " + foreign.ID}) {
		t.Errorf("left: %v", got)
	}
	if _, err := os.Stat(deployment.KeyFile(tr.opt.Keys, tr.opt.Name)); !os.IsNotExist(err) || len(tr.store.all) != 0 {
		t.Errorf("left here: %v %v", err, tr.store.all)
	}
	if err := tr.teardown(); !errors.Is(err, compute.ErrNotFound) || !strings.Contains(err.Error(), "nothing to tear down") {
		t.Errorf("the second teardown: %v", err)
	}
}

// TestLostKey tells at once that nobody could log in, and makes another key only when told.
func TestLostKey(t *testing.T) {
	tr := newTrial(t, "lab", "dep-key-"+unique)
	s := deployment.Settings{Network: "lab-net"}
	tr.mustDeploy(s)
	file := deployment.KeyFile(tr.opt.Keys, tr.opt.Name)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.deploy(s); !errors.Is(err, compute.ErrConflict) || !strings.Contains(err.Error(), "private half") ||
		!strings.Contains(compute.Hint(err), "--rotate-key") {
		t.Fatalf("a lost key: %v (%s)", err, compute.Hint(err))
	}
	tr.opt.RotateKey = true
	tr.mustDeploy(s)
	tr.opt.RotateKey = false
	tr.mustDeploy(s)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.deploy(s); !errors.Is(err, compute.ErrInvalid) || !strings.Contains(compute.Hint(err), "chmod 600") {
		t.Errorf("a key that all can read: %v", err)
	}
	// the same name, without the file and from another installation
	other := newTrial(t, "lab", tr.opt.Name)
	other.opt.Installation = "elsewhere-" + unique
	if _, err := other.deploy(s); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("another's key pair: %v", err)
	}
	// it was refused before it recorded anything; of the first one nothing is its
	if err := other.teardown(); !errors.Is(err, compute.ErrNotFound) {
		t.Error(err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	tr.mustDeploy(s)
}

// TestOthers uses things of the same name that somebody else made, as they are, and leaves them.
func TestOthers(t *testing.T) {
	tr := newTrial(t, "lab", "dep-others-"+unique)
	name, network := tr.opt.Name, tr.cloud.Network
	n := must[*networks.Network](t)(networks.Create(t.Context(), network, networks.CreateOpts{Name: name}).Extract())
	defer func() { _ = networks.Delete(t.Context(), network, n.ID) }()
	sub := must[*subnets.Subnet](t)(subnets.Create(
		t.Context(), network, subnets.CreateOpts{NetworkID: n.ID, CIDR: "10.79.0.0/24", IPVersion: 4, Name: "theirs"},
	).Extract())
	g := must[*groups.SecGroup](t)(groups.Create(t.Context(), network, groups.CreateOpts{Name: name}).Extract())
	defer func() { _ = groups.Delete(t.Context(), network, g.ID) }()

	s := deployment.Settings{Ports: []string{"22"}}
	if _, err := tr.deploy(s); !errors.Is(err, compute.ErrConflict) || !strings.Contains(err.Error(), "does not let in") {
		t.Fatalf("another's group without the rules: %v", err)
	}
	if got := ruleTexts(t, tr.cloud, g.ID); len(got) != 0 {
		t.Errorf("another's group was changed: %q", got)
	}
	rec := tr.mustDeploy(deployment.Settings{External: deployment.NoExternal})
	if rec.ID(deployment.Network) != n.ID || rec.ID(deployment.Subnet) != sub.ID || rec.Thing(deployment.Network).Made {
		t.Errorf("recorded: %+v", rec.Things)
	}
	if err := tr.teardown(); err != nil {
		t.Fatal(err)
	}
	got := listing(t, tr.cloud, name)
	want := []string{"network " + n.ID, "security group " + g.ID}
	if !slices.Equal(got, want) {
		t.Errorf("left %v and not %v", got, want)
	}
	if _, err := subnets.Get(t.Context(), network, sub.ID).Extract(); err != nil {
		t.Errorf("their subnet: %v", err)
	}
	second := must[*networks.Network](t)(networks.Create(t.Context(), network, networks.CreateOpts{Name: name}).Extract())
	defer func() { _ = networks.Delete(t.Context(), network, second.ID) }()
	if _, err := tr.deploy(deployment.Settings{External: deployment.NoExternal}); !errors.Is(err, compute.ErrConflict) ||
		!strings.Contains(err.Error(), second.ID) || !strings.Contains(err.Error(), n.ID) {
		t.Errorf("two of the name: %v", err)
	}
}

// TestOtherNetwork deploys with a network that is there, then with one of its own, and back:
// servers get what the last settings say, and teardown takes what was made on the way.
func TestOtherNetwork(t *testing.T) {
	tr := newTrial(t, "lab", "dep-other-net-"+unique)
	given := deployment.Settings{Network: "lab-net"}
	own := deployment.Settings{Ports: []string{"22"}, CIDR: "10.80.0.0/24", External: deployment.NoExternal}
	lab := tr.mustDeploy(given).ID(deployment.Network)
	made := tr.mustDeploy(own)
	network, subnet := made.ID(deployment.Network), made.ID(deployment.Subnet)
	if network == "" || network == lab || made.GroupID() == "" {
		t.Errorf("with a network of its own: %+v", made.Things)
	}
	if got := must[*subnets.Subnet](t)(subnets.Get(t.Context(), tr.cloud.Network, subnet).Extract()); got.NetworkID != network {
		t.Errorf("the subnet is one of network %s, and not of %s", got.NetworkID, network)
	}
	back := tr.mustDeploy(given)
	if back.ID(deployment.Network) != lab || back.ID(deployment.Subnet) == subnet || back.GroupID() != "" {
		t.Errorf("with the first one again, and no ports: %+v", back.Things)
	}
	if err := tr.teardown(); err != nil {
		t.Fatal(err)
	}
	if did := tr.did(); !slices.Contains(did, "deleted network") || !slices.Contains(did, "deleted security group") {
		t.Errorf("the teardown did %q", did)
	}
	if got := listing(t, tr.cloud, tr.opt.Name); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

// TestWrongProject refuses before it touches anything.
func TestWrongProject(t *testing.T) {
	tr := newTrial(t, "lab", "dep-wrong-"+unique)
	tr.mustDeploy(deployment.Settings{Network: "lab-net"})
	other, _ := login(t, "tight")
	tr.steps = nil
	for what, err := range map[string]error{
		"teardown": deployment.Teardown(t.Context(), other, tr.opt),
		"deploy": func() error {
			_, err := deployment.Deploy(t.Context(), other, tr.opt, deployment.Settings{})
			return err
		}(),
	} {
		if !errors.Is(err, compute.ErrConflict) || !strings.Contains(err.Error(), "project") ||
			!strings.Contains(compute.Hint(err), "--cloud lab") {
			t.Errorf(
				"%s: err = %v (compute.Hint(err) = %s)"+
					`; want error compute.ErrConflict and err.Error() with "project" and compute.Hint(err) `+
					`with "--cloud lab"`,
				what, err, compute.Hint(err),
			)
		}
	}
	if len(tr.steps) != 0 {
		t.Errorf("it did %v", tr.steps)
	}
}

// TestQuota has the only network of a small project made, and a second one refused, with the
// cloud's words; what was begun goes again.
func TestQuota(t *testing.T) {
	alone(t)
	first, second := newTrial(t, "tight", "dep-tight-"+unique), newTrial(t, "tight", "dep-tight2-"+unique)
	// a second subnet is beyond the quota too
	s := deployment.Settings{CIDR: "10.80.0.0/24", External: deployment.NoExternal}
	full := time.Now().Add(2 * time.Minute)
	for {
		_, err := first.deploy(s)
		if err == nil {
			break
		}
		if !errors.Is(err, compute.ErrNoCapacity) || time.Now().After(full) {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // somebody who does not take turns is in the small project
	}
	_, err := second.deploy(s)
	if !errors.Is(err, compute.ErrNoCapacity) || !strings.Contains(err.Error(), "network") || compute.Hint(err) == "" {
		t.Errorf("beyond the quota: %v (%s)", err, compute.Hint(err))
	}
	if err := second.teardown(); err != nil {
		t.Errorf("the teardown of what was begun: %v", err)
	}
	if got := listing(t, second.cloud, second.opt.Name); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

// alone waits until no other test of this package, of any process on this machine, is in the small
// project, and keeps them out until the test's end. What a killed one left there goes.
func alone(t *testing.T) {
	t.Helper()
	c, _ := login(t, "tight")
	file, err := os.OpenFile(filepath.Join(os.TempDir(), "hostler-openstack-tight.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	for end := time.Now().Add(4 * time.Minute); ; {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(end) {
			t.Fatalf("the small project's lock, %s: %v", file.Name(), err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	left := func(name string) bool { return strings.HasPrefix(name, "dep-tight") }
	for _, n := range must[[]networks.Network](t)(allOf(
		t.Context(), networks.List(c.Network, networks.ListOpts{ProjectID: c.Project}), networks.ExtractNetworks,
	)) {
		if left(n.Name) {
			if err := networks.Delete(t.Context(), c.Network, n.ID).ExtractErr(); err != nil {
				t.Logf("network %s of a test that was killed: %v", n.Name, err)
			}
		}
	}
	for _, k := range must[[]keypairs.KeyPair](t)(allOf(t.Context(), keypairs.List(c.Compute, nil), keypairs.ExtractKeyPairs)) {
		if left(k.Name) {
			if err := keypairs.Delete(t.Context(), c.Compute, k.Name, nil).ExtractErr(); err != nil {
				t.Logf("key pair %s of a test that was killed: %v", k.Name, err)
			}
		}
	}
}

// TestIPv6 has a router on both of its subnets, finds that again, replaces the key pair, and takes
// all of it down.
func TestIPv6(t *testing.T) {
	tr := newTrial(t, "lab", "dep-six-"+unique)
	s := deployment.Settings{CIDR: "10.82.0.0/24", CIDR6: "fd82::/64", DNS: []string{"9.9.9.9", "2620:fe::fe"}}
	rec := tr.mustDeploy(s)
	four, six := rec.IDs(deployment.Subnet), rec.IDs(deployment.Interface)
	if len(four) != 2 || len(six) != 2 {
		t.Fatalf("subnets %v, interfaces %v", four, six)
	}
	joined := must[[]ports.Port](t)(allOf(
		t.Context(),
		ports.List(tr.cloud.Network, ports.ListOpts{DeviceID: rec.ID(deployment.Router), NetworkID: rec.ID(deployment.Network)}),
		ports.ExtractPorts,
	))
	var on []string
	for _, p := range joined {
		for _, ip := range p.FixedIPs {
			on = append(on, ip.SubnetID)
		}
	}
	slices.Sort(on)
	if want := slices.Sorted(slices.Values(four)); !slices.Equal(on, want) {
		t.Errorf("the router is on %v, and the subnets are %v", on, want)
	}
	sub := must[*subnets.Subnet](t)(subnets.Get(t.Context(), tr.cloud.Network, four[1]).Extract())
	if sub.IPVersion != 6 || sub.CIDR != "fd82::/64" || sub.GatewayIP != "fd82::1" ||
		!slices.Equal(sub.DNSNameservers, []string{"2620:fe::fe"}) {
		t.Errorf("the second subnet is %+v", sub)
	}
	pair := func() string {
		t.Helper()
		return must[*keypairs.KeyPair](t)(keypairs.Get(t.Context(), tr.cloud.Compute, tr.opt.Name, nil).Extract()).PublicKey
	}
	before := pair()
	tr.opt.RotateKey = true
	tr.mustDeploy(s)
	tr.opt.RotateKey = false
	for _, step := range tr.did() {
		if step != "repaired key pair" && !strings.HasPrefix(step, deployment.Found) {
			t.Errorf("where only the key is to be another: %s", step)
		}
	}
	if pair() == before {
		t.Error("the key pair is the same")
	}
	if _, err := os.Stat(deployment.KeyFile(tr.opt.Keys, tr.opt.Name) + ".old"); err != nil {
		t.Errorf("the old key, which servers that run know: %v", err)
	}
	if err := tr.teardown(); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, tr.cloud, tr.opt.Name); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	if keys, err := os.ReadDir(tr.opt.Keys); err != nil || len(keys) != 0 {
		t.Errorf("left here: %v, %v", keys, err)
	}
}
