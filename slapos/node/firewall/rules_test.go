package firewall

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/slapos/proto"
)

func TestRules(t *testing.T) {
	routedTo := []proto.Address{
		{Interface: "slaptap0", IP: "10.0.0.9"}, {Interface: "route_slaptap0", IP: "10.1.0.1"},
		{Interface: "route_slaptap0", IP: "2001:db8::1"},
	}
	tree := []proto.Address{{Interface: "route_t", IP: "10.1.0.1"}, {IP: "10.2.0.1"}, {IP: "2001:db8::2"}}
	for name, c := range map[string]struct {
		p          proto.Partition
		authorized []string
		want       string
	}{
		"nothing routed": {p: proto.Partition{Addresses: routedTo[:1]}},
		"restricted": {p: proto.Partition{Addresses: routedTo}, authorized: []string{"192.0.2.7"}, want: `filter INPUT 0 -s 10.1.0.1 -d 10.1.0.1 -j ACCEPT
filter FORWARD 0 -s 10.1.0.1 -d 10.1.0.1 -j ACCEPT
filter INPUT 0 -s 10.2.0.1 -d 10.1.0.1 -j ACCEPT
filter FORWARD 0 -s 10.2.0.1 -d 10.1.0.1 -j ACCEPT
filter INPUT 0 -s 192.0.2.7 -d 10.1.0.1 -j ACCEPT
filter FORWARD 0 -s 192.0.2.7 -d 10.1.0.1 -j ACCEPT
filter INPUT 900 -d 10.1.0.1 -m state --state ESTABLISHED,RELATED -j REJECT
filter FORWARD 900 -d 10.1.0.1 -m state --state ESTABLISHED,RELATED -j REJECT
filter INPUT 1000 -d 10.1.0.1 -j REJECT
filter FORWARD 1000 -d 10.1.0.1 -j REJECT`},
		"open": {p: proto.Partition{
			FullAddresses: []proto.FullAddress{{Interface: "route_x", IP: "10.1.0.1"}},
			Filter: proto.Dictionary{
				"fw_restricted_access": "off", "fw_rejected_sources": "192.0.2.7, 10.3.0.0/16",
				"fw_authorized_sources": "nonsense",
			},
		},
			want: `filter INPUT 800 -s 192.0.2.7 -d 10.1.0.1 -m state --state ESTABLISHED,RELATED -j REJECT
filter FORWARD 800 -s 192.0.2.7 -d 10.1.0.1 -m state --state ESTABLISHED,RELATED -j REJECT
filter INPUT 900 -s 192.0.2.7 -d 10.1.0.1 -j REJECT
filter FORWARD 900 -s 192.0.2.7 -d 10.1.0.1 -j REJECT
filter INPUT 800 -s 10.3.0.0/16 -d 10.1.0.1 -m state --state ESTABLISHED,RELATED -j REJECT
filter FORWARD 800 -s 10.3.0.0/16 -d 10.1.0.1 -m state --state ESTABLISHED,RELATED -j REJECT
filter INPUT 900 -s 10.3.0.0/16 -d 10.1.0.1 -j REJECT
filter FORWARD 900 -s 10.3.0.0/16 -d 10.1.0.1 -j REJECT`},
		"open to all": {
			p:          proto.Partition{Addresses: routedTo, Filter: proto.Dictionary{"fw_restricted_access": "off"}},
			authorized: []string{"192.0.2.7"},
		},
	} {
		got, err := rulesOf(&c.p, tree, c.authorized)
		if d := cmp.Diff(c.want, strings.Join(got, "\n")); err != nil || d != "" {
			t.Errorf(`%s: err = %v d = %s; want no error and d == ""`, name, err, d)
		}
	}
	filter := proto.Dictionary{"fw_authorized_sources": "198.51.100.1/24"}
	more, err := rulesOf(&proto.Partition{Addresses: routedTo, Filter: filter}, nil, nil)
	if err != nil || !slices.Contains(more, "filter INPUT 0 -s 198.51.100.0/24 -d 10.1.0.1 -j ACCEPT") {
		t.Errorf(
			"more = %q, err = %v"+
				`; want no error and more with "filter INPUT 0 -s 198.51.100.0/24 -d 10.1.0.1 -j ACCEPT"`,
			more, err,
		)
	}
	for _, wrong := range []string{"--permanent", "10.0.0.1;x", "2001:db8::1", "0.0.0.0/33"} {
		p := proto.Partition{Addresses: routedTo, Filter: proto.Dictionary{"fw_authorized_sources": wrong}}
		if got, err := rulesOf(&p, nil, nil); err == nil {
			t.Errorf("%s: got = %q; want an error", wrong, got)
		}
		if got, err := rulesOf(&proto.Partition{Addresses: routedTo}, nil, []string{wrong}); err == nil {
			t.Errorf("%s: got = %q; want an error", wrong, got)
		}
	}
}
