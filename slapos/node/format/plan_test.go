package format_test

import (
	"errors"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/format"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/slaptest"
)

// laboratory is the computer that the recordings were made on, as it was configured.
func laboratory() *format.Options {
	return &format.Options{Computer: "COMP-LAB", InstanceRoot: "/srv/slapgrid", SoftwareRoot: "/opt/slapgrid",
		State: "/opt/slapos/slapos.xml", Partitions: 3, PartitionBase: "slappart",
		UserBase: "slapuser", TapBase: "slaptap", SoftwareUser: "slapsoft", Interface: "lab0",
		IPv4Network: netip.MustParsePrefix("10.0.0.0/16"), PrefixShift: 16,
		AlterUser: true, AlterNetwork: true, CreateTap: true, TapIPv6: true, IPv6Range: true, TunIPv6: true, Version: "1.24.0",
		Platform: `["Linux-6.1.0-18-amd64-x86_64-with-glibc2.36", "debian", "12", "Debian GNU/Linux"]`}
}

// bare is a machine on which nothing was done yet.
func bare() *format.Machine {
	return &format.Machine{Links: map[string]format.Link{"lo": {Up: true}, "lab0": {Kind: "dummy", Up: true}}, Addresses: []format.Assigned{
		{Link: "lo", Prefix: netip.MustParsePrefix("127.0.0.1/8")},
		{Link: "lab0", Prefix: netip.MustParsePrefix("2001:db8:77::1/64")},
		{Link: "lab0", Prefix: netip.MustParsePrefix("fe80::1/64")}}}
}

// given returns these numbers, and then the largest that it may.
func given(numbers ...int) func(int) int {
	return func(n int) int {
		if len(numbers) == 0 {
			return n - 1
		}
		next := numbers[0]
		numbers = numbers[1:]
		return next
	}
}

func recorded(t *testing.T, set string, n int) proto.Dictionary {
	t.Helper()
	for _, e := range slaptest.Exchanges(t, set) {
		if e.N == n {
			v, err := proto.Unmarshal([]byte(e.Form().Get("xml")))
			if err != nil {
				t.Fatal(err)
			}
			return v.(proto.Dictionary)
		}
	}
	t.Fatalf("there is no exchange %s %d", set, n)
	return nil
}

// same brings a description to what a reader of the posted document sees.
func same(t *testing.T, d proto.Dictionary) any {
	t.Helper()
	text, err := proto.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	v, err := proto.Unmarshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What the reference posted of the laboratory is what is posted of it here, but for the version of
// a Python that nothing runs in.
func TestPlanDescribesAsRecorded(t *testing.T) {
	for _, c := range []struct {
		set     string
		random  []int
		version int
	}{
		{"legacy", []int{174*256 + 4 - 1, 245*256 + 71 - 1, 87*256 + 166 - 1}, 2},
		{"node", []int{17*256 + 165 - 1, 189*256 + 104 - 1, 147*256 + 247 - 1}, 2},
	} {
		want := recorded(t, c.set, c.version)
		want["python_version"] = ""
		got, _, err := format.Plan(laboratory(), nil, nil, bare(), given(c.random...))
		if err != nil {
			t.Fatal(err)
		}
		if have := same(t, got.Dictionary()); !reflect.DeepEqual(have, any(want)) {
			t.Errorf("%s: %v\nwant %v", c.set, have, want)
		}
	}
}

func texts(steps []format.Step) (out []string) {
	for _, s := range steps {
		out = append(out, s.String())
	}
	return out
}

// The steps of a bare machine, as a dry run prints them.
func TestPlanSteps(t *testing.T) {
	o := laboratory()
	o.Partitions, o.CreateTun, o.Certificates = 1, true, "/etc/opt/slapos/ssl/partition_pki"
	m := bare()
	m.Storage = []string{"/srv/data0"}
	o.StorageHome = "/srv"
	_, steps, err := format.Plan(o, nil, nil, m, given(0))
	if err != nil {
		t.Fatal(err)
	}
	got := texts(steps)
	for i, s := range got {
		if strings.HasPrefix(s, "write ") {
			got[i] = s[:strings.LastIndex(s, "(")]
		}
	}
	want := []string{
		"install -d -m 0711 /etc/opt/slapos/ssl/partition_pki",
		"write /opt/slapos/slapos.xml ",
		"groupadd -r slapsoft", "useradd -d /opt/slapgrid -g slapsoft -s /bin/sh -r slapsoft",
		"groupadd -r slapuser0", "useradd -d /srv/slapgrid/slappart0 -g slapuser0 -s /bin/sh -r -G slapsoft slapuser0",
		"install -d -m 0755 /srv/slapgrid", "install -d -m 0755 -o slapsoft -g slapsoft /opt/slapgrid",
		"install -d -m 0750 -o slapuser0 -g slapuser0 /srv/slapgrid/slappart0",
		"install -d -m 0750 -o slapuser0 -g slapuser0 /srv/data0/slappart0",
		"ip address add 10.0.0.1/32 dev lab0", "ip address add 2001:db8:77::2/64 dev lab0",
		"ip -6 route add local 2001:db8:77:0:4001::/80 dev lo",
		"ip tuntap add dev slaptap0 mode tap user slapuser0", "ip link set dev slaptap0 up",
		"ip address add 2001:db8:77:0:8001:ffff:ffff:ffff/80 dev slaptap0 noprefixroute",
		"ip -6 route add 2001:db8:77:0:8001::1/128 dev slaptap0",
		"ip -6 route add 2001:db8:77:0:8001::/80 via 2001:db8:77:0:8001::1 dev slaptap0",
		"ip tuntap add dev slaptun0 mode tun user slapuser0", "ip link set dev slaptun0 up",
		"ip address add 172.16.0.1/12 dev slaptun0", "ip address add 2001:db8:77:0:c001:ffff:ffff:ffff/80 dev slaptun0",
		"sysctl -w net.ipv6.ip_nonlocal_bind=1", "write /srv/slapgrid/slappart0/.slapos-resource ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("steps:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Addresses stay as they were while they can, and are chosen anew where another has them or they
// are in no network of ours any more.
func TestPlanKeeps(t *testing.T) {
	o := laboratory()
	before, _, err := format.Plan(o, nil, nil, bare(), given(1, 2, 3))
	if err != nil {
		t.Fatal(err)
	}
	addresses := func(c *format.Computer) (out []string) {
		for _, p := range c.Partitions {
			for _, a := range p.Addresses {
				out = append(out, a.IP.String())
			}
		}
		return out
	}
	was := []string{"10.0.0.2", "2001:db8:77::2", "10.0.0.3", "2001:db8:77::3", "10.0.0.4", "2001:db8:77::4"}
	if got := addresses(before); !slices.Equal(got, was) {
		t.Fatalf("at first %v, want %v", got, was)
	}
	for _, c := range []struct {
		name string
		edit func(o *format.Options, m *format.Machine)
		want []string
	}{
		{"nothing is there any more", func(*format.Options, *format.Machine) {}, was},
		{"all is there", func(_ *format.Options, m *format.Machine) {
			for _, p := range before.Partitions {
				for _, a := range p.Addresses {
					bits := 64
					if a.IP.Is4() {
						bits = 32
					}
					m.Addresses = append(m.Addresses, format.Assigned{Link: "lab0", Prefix: netip.PrefixFrom(a.IP, bits)})
				}
			}
		}, was},
		{
			"a partition more", func(o *format.Options, _ *format.Machine) { o.Partitions = 4 },
			append(slices.Clone(was), "10.0.0.8", "2001:db8:77::5"),
		},
		{"the network of IPv4 is another",
			func(o *format.Options, _ *format.Machine) { o.IPv4Network = netip.MustParsePrefix("10.8.0.0/16") },
			[]string{"10.8.0.8", "2001:db8:77::2", "10.8.0.9", "2001:db8:77::3", "10.8.0.10", "2001:db8:77::4"}},
		{"the machine has moved", func(_ *format.Options, m *format.Machine) {
			m.Addresses[1].Prefix = netip.MustParsePrefix("2001:db8:88::1/64")
		},
			[]string{"10.0.0.2", "2001:db8:88::2", "10.0.0.3", "2001:db8:88::3", "10.0.0.4", "2001:db8:88::4"}},
		{"another machine has one", func(_ *format.Options, m *format.Machine) {
			m.Addresses = append(
				m.Addresses,
				format.Assigned{Link: "lab0", Prefix: netip.MustParsePrefix("2001:db8:77::3/64"), Failed: true},
			)
		}, []string{"10.0.0.2", "2001:db8:77::2", "10.0.0.3", "2001:db8:77::8", "10.0.0.4", "2001:db8:77::4"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, m := *o, bare()
			c.edit(&o, m)
			got, _, err := format.Plan(&o, nil, before, m, given(7, 8, 9))
			if err != nil {
				t.Fatal(err)
			}
			if have := addresses(got); !slices.Equal(have, c.want) {
				t.Errorf("%v, want %v", have, c.want)
			}
		})
	}
}

// An address that is taken is an error where none at random may stand for it.
func TestPlanTaken(t *testing.T) {
	m := bare()
	m.Addresses = append(m.Addresses, format.Assigned{Link: "lab0", Prefix: netip.MustParsePrefix("2001:db8:77::3/64")})
	c, _, err := format.Plan(laboratory(), nil, nil, m, given(1, 2, 500))
	if err != nil || c.Partitions[1].Addresses[1].IP != netip.MustParseAddr("2001:db8:77::1f5") {
		t.Errorf("with a prefixshift of 16: %v, %v", c, err)
	}
	o := laboratory()
	o.PrefixShift = 12
	if _, _, err := format.Plan(o, nil, nil, m, given()); !errors.Is(err, compute.ErrConflict) ||
		!strings.Contains(err.Error(), "2001:db8:77::3 is taken") {
		t.Errorf("with one of 12: %v", err)
	}
	// the lowest is another's now, and it stays the computer's all the same
	m.Addresses[1].Prefix = netip.MustParsePrefix("2001:db8:77::9/64")
	c, _, err = format.Plan(laboratory(), nil, &format.Computer{Address: m.Addresses[1].Prefix}, m, given())
	if err != nil || c.Address != m.Addresses[1].Prefix {
		t.Errorf("the computer's address is %v, %v", c, err)
	}
}

// Plans that would do harm are none.
func TestPlanRefuses(t *testing.T) {
	path := func(o *format.Options, i string) string { return filepath.Join(o.InstanceRoot, o.PartitionBase+i) }
	for _, c := range []struct {
		name string
		edit func(o *format.Options, d *format.Definition, was *format.Computer, m *format.Machine)
		want string
	}{
		{"fewer partitions", func(o *format.Options, _ *format.Definition, was *format.Computer, _ *format.Machine) {
			was.Partitions = make([]format.Partition, 4)
		}, "none is taken away"},
		{"a user who is root", func(_ *format.Options, _ *format.Definition, _ *format.Computer, m *format.Machine) {
			m.Users["slapuser1"] = format.Account{UID: 0, GID: 5, Home: "/srv/slapgrid/slappart1"}
		}, "slapuser1 is root"},
		{"root by definition", func(_ *format.Options, d *format.Definition, _ *format.Computer, m *format.Machine) {
			d.Partitions[0] = format.DefinedPartition{User: "root"}
		}, "root is root"},
		{"a group of root's", func(_ *format.Options, _ *format.Definition, _ *format.Computer, m *format.Machine) {
			m.Groups["slapuser1"] = format.Team{GID: 0}
		}, "slapuser1 is root"},
		{"somebody's user", func(_ *format.Options, _ *format.Definition, _ *format.Computer, m *format.Machine) {
			m.Users["slapuser1"] = format.Account{UID: 1001, GID: 1001, Home: "/home/slapuser1"}
		}, "not of our making"},
		{"one user for two", func(_ *format.Options, d *format.Definition, _ *format.Computer, m *format.Machine) {
			d.Partitions[1] = format.DefinedPartition{User: "slapuser2"}
		}, "same user"},
		{"the software's user", func(_ *format.Options, d *format.Definition, _ *format.Computer, m *format.Machine) {
			d.Partitions[1] = format.DefinedPartition{User: "slapsoft"}
		}, "builds the software"},
		{"one directory for two", func(_ *format.Options, d *format.Definition, _ *format.Computer, m *format.Machine) {
			d.Partitions[1] = format.DefinedPartition{Path: "slappart2"}
		}, "two partitions have the directory"},
		{"a link in the place of a directory", func(o *format.Options, _ *format.Definition, _ *format.Computer, m *format.Machine) {
			m.Paths[path(o, "1")] = format.Entry{Mode: 0o777 | 1<<27}
		}, "is no directory"},
		{"somebody's interface", func(_ *format.Options, _ *format.Definition, _ *format.Computer, m *format.Machine) {
			m.Links["slaptap1"] = format.Link{Kind: "veth", Owner: -1}
		}, "is no tap"},
		{"somebody's tap", func(_ *format.Options, _ *format.Definition, _ *format.Computer, m *format.Machine) {
			m.Links["slaptap1"] = format.Link{Kind: "tap", Owner: 1001}
		}, "not slapuser1's"},
		{"no IPv6", func(_ *format.Options, _ *format.Definition, _ *format.Computer, m *format.Machine) {
			m.Addresses = m.Addresses[:1]
		}, "no global address"},
		{"an interface that is not there", func(o *format.Options, _ *format.Definition, _ *format.Computer, m *format.Machine) {
			o.Interface, o.IPv6Interface = "lab1", ""
		}, "no interface lab1"},
		{"a network too small", func(_ *format.Options, _ *format.Definition, _ *format.Computer, m *format.Machine) {
			m.Addresses[1].Prefix = netip.MustParsePrefix("2001:db8:77::1/120")
		}, "too small"},
		{"no room for so many", func(o *format.Options, _ *format.Definition, _ *format.Computer, _ *format.Machine) {
			o.IPv4Network = netip.MustParsePrefix("10.0.0.0/31")
		}, "no address is free"},
		{"a shift too small", func(o *format.Options, _ *format.Definition, _ *format.Computer, _ *format.Machine) {
			o.PrefixShift = 3
		}, "ipv6_prefixshift"},
		{
			"no state file",
			func(o *format.Options, _ *format.Definition, _ *format.Computer, _ *format.Machine) { o.State = "" },
			"computer_xml",
		},
		{"a name with a slash", func(o *format.Options, _ *format.Definition, _ *format.Computer, _ *format.Machine) {
			o.PartitionBase = "../p"
		}, "partition_base_name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, d, was, m := laboratory(), &format.Definition{Partitions: map[int]format.DefinedPartition{}}, &format.Computer{}, bare()
			m.Users, m.Groups, m.Paths = map[string]format.Account{"root": {}}, map[string]format.Team{"root": {}}, map[string]format.Entry{}
			c.edit(o, d, was, m)
			_, steps, err := format.Plan(o, d, was, m, given())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v with %d steps, want an error with %q", err, len(steps), c.want)
			}
		})
	}
}

// An account whose name is not ours is used as it is, and made where it is missing.
func TestPlanLeavesOthersAlone(t *testing.T) {
	o, m := laboratory(), bare()
	d := &format.Definition{Partitions: map[int]format.DefinedPartition{0: {User: "alice"}, 1: {User: "bob"}}}
	m.Users = map[string]format.Account{
		"alice":     {UID: 1000, GID: 1000, Home: "/home/alice", Shell: "/bin/zsh"},
		"slapuser2": {UID: 902, GID: 902, Home: "/srv/slapgrid/slappart2", Shell: "/bin/bash", Locked: false},
	}
	m.Groups = map[string]format.Team{"alice": {GID: 1000}, "slapuser2": {GID: 902}}
	_, steps, err := format.Plan(o, d, nil, m, given(1, 2, 3))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range steps {
		if c, ok := s.(format.Command); ok {
			got = append(got, c.String())
		}
	}
	want := []string{"groupadd -r slapsoft", "useradd -d /opt/slapgrid -g slapsoft -s /bin/sh -r slapsoft",
		"groupadd -r bob", "useradd -d /srv/slapgrid/slappart1 -g bob -s /bin/sh -r -G slapsoft bob",
		"usermod -d /srv/slapgrid/slappart2 -g slapuser2 -s /bin/sh -aG slapsoft slapuser2", "passwd -l slapuser2"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// Who is behind a tap has an address of IPv4 beside that of the gateway interface, and keeps it.
func TestPlanTapGateway(t *testing.T) {
	o, m := laboratory(), bare()
	o.Partitions, o.TapGateway = 2, "gw0"
	m.Addresses = append(m.Addresses, format.Assigned{Link: "gw0", Prefix: netip.MustParsePrefix("192.168.5.1/24")})
	was, steps, err := format.Plan(o, nil, nil, m, given(0, 1, 0, 8))
	if err != nil {
		t.Fatal(err)
	}
	// .1 is the gateway's own, so that the first asks again
	for i, want := range []string{"192.168.5.9", "192.168.5.254"} {
		if tap := was.Partitions[i].Tap; tap.IPv4Addr != want || tap.IPv4Gateway != "192.168.5.1" ||
			tap.IPv4Netmask != "255.255.255.0" || tap.IPv4Network != "192.168.5.0/24" {
			t.Errorf("tap %d is %+v", i, tap)
		}
	}
	if got := texts(steps); !slices.Contains(got, "ip route add "+was.Partitions[1].Tap.IPv4Addr+"/32 dev slaptap1") {
		t.Errorf("no route to it: %q", got)
	}
	again, _, err := format.Plan(o, nil, was, m, given(3, 4, 5, 6))
	if err != nil || again.Partitions[0].Tap != was.Partitions[0].Tap || again.Partitions[1].Tap != was.Partitions[1].Tap {
		t.Errorf("again %+v, %v", again, err)
	}
	o.TapGateway = "gw1"
	if _, _, err := format.Plan(o, nil, was, m, given()); err == nil || !strings.Contains(err.Error(), "gw1") {
		t.Errorf("without that interface: %v", err)
	}
}
