//go:build linux

package network_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox/network"
)

func TestResolv(t *testing.T) {
	const upstream = "# made by systemd-resolved\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nsearch elsewhere\n"
	for _, c := range []struct{ name, host, want, servers string }{
		{"plain", "nameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch example.org\noptions ndots:2 edns0\n",
			"search example.org\noptions ndots:2 edns0\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n", "[192.0.2.1 192.0.2.2]"},
		{
			"resolved", "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch example.org\n",
			"search example.org\nnameserver 192.0.2.53\n", "[192.0.2.53]",
		},
		{
			"some",
			"nameserver ::1\nnameserver 127.0.0.1\nnameserver 192.0.2.9\nnameserver 192.0.2.9\nnameserver 2001:db8::1\n",
			"nameserver 192.0.2.9\n", "[192.0.2.9]",
		},
		{"nothing", "", "nameserver 192.0.2.53\n", "[192.0.2.53]"},
		{"rubbish", "; x\nnameserver\nnameserver x\nfoo bar\n", "nameserver 192.0.2.53\n", "[192.0.2.53]"},
		{"mapped", "nameserver ::ffff:192.0.2.7\n", "nameserver 192.0.2.7\n", "[192.0.2.7]"},
	} {
		text, servers := network.Resolv(c.host, upstream)
		if text != c.want || fmt.Sprint(servers) != c.servers {
			t.Errorf(
				"%s: text = %q servers = %v"+
					"; want text == c.want and fmt.Sprint(servers) == c.servers",
				c.name, text, servers,
			)
		}
	}
	if text, servers := network.Resolv("nameserver 127.0.0.1\n", ""); text != "" || servers != nil {
		t.Errorf(`text = %q servers = %v; want text == "" and servers == nil`, text, servers)
	}
}

func TestResolver(t *testing.T) {
	root := t.TempDir()
	put := func(file, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, file)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("etc/resolv.conf", "nameserver 127.0.0.53\n")
	if _, _, err := network.Resolver(root); !errors.Is(err, compute.ErrUnavailable) || compute.Hint(err) == "" {
		t.Errorf(`err = %v; want error compute.ErrUnavailable and compute.Hint(err) != ""`, err)
	}
	put("run/systemd/resolve/resolv.conf", "nameserver 192.0.2.53\n")
	if text, servers, err := network.Resolver(root); err != nil || text != "nameserver 192.0.2.53\n" || len(servers) != 1 {
		t.Errorf(
			"text = %q servers = %v err = %v"+
				"; want no error and text == \"nameserver 192.0.2.53\\n\" and len(servers) == 1",
			text, servers, err,
		)
	}
}

func TestParseForward(t *testing.T) {
	for s, want := range map[string]string{
		"8080:80": "8080:80", "8080:80/tcp": "8080:80", "53:53/udp": "53:53/udp", "127.0.0.1:1:2": "127.0.0.1:1:2",
		"0.0.0.0:1:2": "1:2", "": "", "80": "", "0:80": "", "80:70000": "",
		"x:1:2": "", "::1:1:2": "", "1:2/sctp": "", "1.2.3.4:1:2:3": "", "-1:2": "",
	} {
		f, err := network.ParseForward(s)
		if (err == nil) != (want != "") || err == nil && f.String() != want {
			t.Errorf(`%q: f = %v err = %v; want (err == nil) == (want != "") and (an error or f.String() == want)`, s, f, err)
		}
		if err != nil && !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("%q: err = %v; want no error or error compute.ErrInvalid", s, err)
		}
	}
}
