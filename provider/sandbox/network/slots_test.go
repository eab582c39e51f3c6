//go:build linux

package network_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestIdleQuestions has a sandbox that keeps connections to the name server open, and asks nothing,
// take no names from its neighbour.
func TestIdleQuestions(t *testing.T) {
	outside := world(t)
	const server = "10.66.0.53"
	outside.in(func() {
		addTo(t, "lo", server+"/32")
		nameServer(t, server)
	})
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	must(t, os.WriteFile(resolv, []byte("nameserver "+server+"\n"), 0o600))
	o := options(t)
	o.Egress = policy(t, "good.example:80")
	o.Answers = []string{"/proc/self/exe", "answer", resolv}
	n := open(t, o)
	a, b := attach(t, n, "a"), attach(t, n, "b")
	gateway := a.Gateway.String()
	a.in(func() {
		for range 140 {
			c, err := net.Dial("tcp4", gateway+":53")
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { _ = c.Close() })
		}
	})
	if addrs, code, err := b.lookup(t, gateway, "good.example."); err != nil || len(addrs) == 0 {
		t.Errorf("the neighbour's question: %v %v %v", addrs, code, err)
	}
}
