package main

import (
	"os"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/slapos/configure"
)

// A machine whose interface has no address of IPv6, as lo never has one that others could use,
// becomes a SlapOS by two commands, and goes on as one.
func TestSlaposConfigureLocalAsRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skipf("%s: it makes users and addresses, as root alone may", t.Name())
	}
	m := newSlaposMachine(t, 0)
	local := func(status int, options ...string) string {
		t.Helper()
		return m.slapos(status, append([]string{"configure", "local", "--partition-number", "2",
			"--slapos-instance-root", "/mnt/i", "--slapos-software-root", "/mnt/s", "--slapos-buildout-directory",
			"/mnt/o",
			"--slapos-configuration-directory", "/mnt", "--cfg", "/mnt/client.cfg"}, options...)...)
	}
	if said := local(2, "--interface-name", "lab1"); !strings.Contains(said, "no interface lab1") || m.read("slapos.cfg") != "" {
		t.Fatalf(
			"said = %s\nm.read(\"slapos.cfg\") = %s"+
				`; want said with "no interface lab1" and m.read("slapos.cfg") == ""`,
			said, m.read("slapos.cfg"),
		)
	}
	local(0)
	definition := m.read("slapformat-definition.cfg")
	if !strings.HasPrefix(definition, "[computer]\naddress = fd") {
		t.Fatal(definition)
	}
	m.slapos(0, "node", "format", "--now")
	if said := m.slapos(0, "node", "format", "--dry-run"); said != "" {
		t.Errorf("not all was made: %s", said)
	}
	local(0) // though the partitions' addresses are on lo now
	if now := m.read("slapformat-definition.cfg"); now != definition {
		t.Errorf("%s is %s now", definition, now)
	}
	if said := m.run(
		0, "ip", "-6", "-o", "address", "show", "dev", "lo", "scope", "global",
	); strings.Count(said, strings.TrimSuffix(strings.Fields(definition)[3], "1/64")) != 2 {
		t.Error(said)
	}
	if said := m.slapos(0, "computer", "list", "--cfg", "/mnt/client.cfg"); !strings.Contains(said, configure.LocalComputer) {
		t.Error(said)
	}
}

// Where the interface has a network of IPv6, that is it.
func TestSlaposConfigureLocalOnANetwork(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skipf("%s: it makes users and addresses, as root alone may", t.Name())
	}
	m := newSlaposMachine(t, 0)
	m.slapos(0, "configure", "local", "--interface-name", "lab0", "--slapos-instance-root", "/mnt/i", "--slapos-software-root",
		"/mnt/s", "--slapos-buildout-directory", "/mnt/o",
		"--slapos-configuration-directory", "/mnt", "--cfg", "/mnt/client.cfg")
	if said := m.slapos(0, "node", "format", "--dry-run"); !strings.Contains(said, "ip address add 2001:db8:77::2/64 dev lab0") ||
		m.read("slapformat-definition.cfg") != "" {
		t.Error(said)
	}
}
