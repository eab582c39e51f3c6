package format_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/node/format"
)

// [slapos] wins over [slapformat], and what nobody says is as it is documented.
func TestReadOptions(t *testing.T) {
	f, err := cfg.Parse(
		"slapos.cfg",
		[]byte(
			"[slapformat]\npartition-amount = 7\ncreate_tap = FALSE\nipv4_local_network = 10.1.2.3/16\nsoftware_user = builder\nmemory_max = 1G\n[slapos]\ncomputer_id = COMP-1\npartition_amount = 9\ncomputer_xml = /x\n",
		),
	)
	if err != nil {
		t.Fatal(err)
	}
	o, err := format.ReadOptions(f)
	if err != nil {
		t.Fatal(err)
	}
	want := format.Options{Computer: "COMP-1", State: "/x", Partitions: 9, PartitionBase: "slappart",
		UserBase: "slapuser", TapBase: "slaptap", SoftwareUser: "builder",
		IPv4Network: netip.MustParsePrefix("10.1.0.0/16"),
		PrefixShift: 16, AlterUser: true, AlterNetwork: true, TapIPv6: true, IPv6Range: true, TunIPv6: true,
		Limits: format.Limits{Memory: 1 << 30}}
	if *o != want {
		t.Errorf("%+v\nwant %+v", *o, want)
	}
}

// What is wrong is told with file, line and key.
func TestReadOptionsWrong(t *testing.T) {
	for line, want := range map[string]string{
		"alter_user = yes":                   "slapos.cfg, line 2: alter_user in [slapformat] is neither true nor false",
		"create_tap = 1":                     "neither true nor false",
		"partition_amount = many":            "no number",
		"partition_amount = -1":              "no number",
		"ipv4_local_network = 10.0.0.0":      "no network of IPv4",
		"ipv4_local_network = 2001:db8::/64": "no network of IPv4",
		"bridge_name = br0":                  "totally deprecated",
		"no_bridge = true":                   "totally deprecated",
		"memory_max = 12":                    "less than 1M",
		"memory_max = lots":                  "no size",
		"cpu_max = -2":                       "no number of cores",
		"cpu_max = nan":                      "no number of cores",
		"pids_max = 0":                       "no number of processes",
		"pids_max = 1.5":                     "no number of processes",
	} {
		f, err := cfg.Parse("slapos.cfg", []byte("[slapformat]\n"+line+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := format.ReadOptions(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

// A definition that would lead out of the instance root, or into nonsense, is none.
func TestReadDefinitionWrong(t *testing.T) {
	for line, want := range map[string]string{
		"address = here":                 "no address with its mask",
		"address = 10.0.0.1/33":          "no address with its mask",
		"address = 10.0.0.1/255.0.255.0": "no address with its mask",
		"address = fe80::1%%eth0/64":     "no address with its mask",
		"pathname = ../etc":              "no name of a directory",
		"pathname = /etc":                "no name of a directory",
		"pathname = .ssh":                "no name of a directory",
		"user = -r":                      "no user's name",
		"user = a b":                     "no user's name",
		"network_interface = a/b":        "no interface's name",
		"ipv6_range = 10.0.0.0/8":        "no network of IPv6",
		"cpu_max = 0":                    "no number of cores",
	} {
		path := filepath.Join(t.TempDir(), "definition.cfg")
		if err := os.WriteFile(path, []byte("[partition_0]\n"+line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := format.ReadDefinition(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

// A state file that is damaged says so, and what to do.
func TestReadStateDamaged(t *testing.T) {
	for _, text := range []string{
		"", "<marshal>", "<marshal><int>1</int></marshal>", "<marshal><dictionary id=\"i2\"/></marshal>", "PK\x03\x04",
	} {
		path := filepath.Join(t.TempDir(), "slapos.xml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := format.ReadState(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: c = %v, err = %v; want an error and err.Error() with path", text, c, err)
		}
	}
	if c, err := format.ReadState(filepath.Join(t.TempDir(), "none")); c != nil || err != nil {
		t.Errorf("without a file: %v, %v", c, err)
	}
}
