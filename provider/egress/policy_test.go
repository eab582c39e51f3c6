package egress_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/egress"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"": "internet", "none": "none", "internet,private": "internet, private", "internet:443": "internet:443", "PyPI.org": "pypi.org",
		"*.example.com:80-90": "*.example.com:80-90", "10.1.2.3": "10.1.2.3", "10.1.2.3:22": "10.1.2.3:22", "10.1.2.3/8": "10.0.0.0/8",
		"10.0.0.0/8:1-65535": "10.0.0.0/8:1-65535", "2001:db8::1": "2001:db8::1",
		"[2001:db8::/32]:443": "[2001:db8::/32]:443", "::ffff:1.2.3.4": "1.2.3.4",
		"localhost":     "localhost",
		"none,internet": "!", "none:1": "!", "a b": "!", "10.0.0": "!", "0x7f000001": "!", "1.2.3.400": "!",
		"host:": "!", "host:0": "!", "host:9-8": "!", "host:70000": "!",
		"*": "!", "*.": "!", "a..b": "!", "-a.b": "!", "[::1": "!", "fe80::1%eth0": "!", "http://x": "!", "a.*.b": "!", "internet,": "!",
	} {
		var words []string
		if in != "" {
			words = strings.Split(in, ",")
		}
		p, err := egress.Parse(words)
		if want == "!" {
			if !errors.Is(err, compute.ErrInvalid) || compute.Hint(err) == "" {
				t.Errorf(`%q: p = %v, err = %v; want error compute.ErrInvalid and compute.Hint(err) != ""`, in, p, err)
			}
			continue
		}
		if err != nil || p.String() != want {
			t.Errorf("%q: %q, want %q: %v", in, p, want, err)
			continue
		}
		if again, err := egress.Parse(p.Words()); err != nil || again.String() != want {
			t.Errorf("%q, read again: %q %v", in, again, err)
		}
	}
}

func TestReaches(t *testing.T) {
	all := "1.1.1.1 2606:4700::1 10.0.0.1 172.31.0.1 192.168.1.1 100.64.0.1 fd12::1 169.254.169.254 127.0.0.1 ::1 " +
		"fe80::1 fd00:ec2::254 100.100.100.200 168.63.129.16 " +
		"0.0.0.0 224.0.0.1 255.255.255.255 ::ffff:10.0.0.1 ::ffff:127.0.0.1 64:ff9b::a00:1 2002:a00:1::1 :: ::7f00:1 fd20:ce::254 " +
		"192.0.2.1 192.88.99.1 198.51.100.1 203.0.113.1 2001:db8::1 3fff::1"
	for in, want := range map[string]string{
		"internet": "1.1.1.1 2606:4700::1",
		"private": "10.0.0.1 172.31.0.1 192.168.1.1 100.64.0.1 fd12::1 ::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1::1 " +
			"192.0.2.1 192.88.99.1 198.51.100.1 203.0.113.1 2001:db8::1 3fff::1",
		"none": "",
		"0.0.0.0/0": "1.1.1.1 10.0.0.1 172.31.0.1 192.168.1.1 100.64.0.1 ::ffff:10.0.0.1 192.0.2.1 " +
			"192.88.99.1 198.51.100.1 203.0.113.1",
		"169.254.169.254":   "169.254.169.254",
		"10.0.0.0/24":       "10.0.0.1 ::ffff:10.0.0.1",
		"pypi.org":          "",
		"pypi.org,internet": "1.1.1.1 2606:4700::1",
	} {
		p, err := egress.Parse(strings.Split(in, ","))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range strings.Fields(all) {
			if p.Reaches(netip.MustParseAddr(a)) {
				got = append(got, a)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s reaches %s, want %s", in, s, want)
		}
	}
}

func TestNames(t *testing.T) {
	p, err := egress.Parse([]string{"pypi.org", "*.example.com:443"})
	if err != nil || !p.Named() || p.Asks() {
		t.Fatalf("p = %v, err = %v; want no error and p.Named() and !p.Asks()", p, err)
	}
	for name, want := range map[string]int{
		"pypi.org": 1, "PyPI.org.": 1, "x.pypi.org": 0, "a.example.com": 1, "a.b.example.com": 1, "example.com": 0,
		"badexample.com": 0, "pypi.org.evil.test": 0, ".example.com": 0, "": 0,
	} {
		if got := p.Names(name); len(got) != want {
			t.Errorf("%q: got = %v; want len(got) == want", name, got)
		}
	}
}
