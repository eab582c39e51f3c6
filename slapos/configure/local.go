package configure

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute/fault"
)

// LocalComputer is the reference of a computer that is its own master.
const LocalComputer = "local_computer"

// Local is a machine that is a SlapOS by itself: a node, with a master of its own.
type Local struct {
	Interface, Network            string // the partitions' addresses are on it, and in it
	IP                            string // the master listens there
	Port                          int
	Partitions                    int
	Instances, Software, Buildout string // directories; the last one has the state of the master
	Dir                           string // of slapos.cfg
	CachePath                     string // where the master is a binary cache too; "": it is none
}

// Client returns the configuration of the users of the machine.
func (o *Local) Client() *Client { return &Client{Master: o.Master(), Rest: o.Master() + "hateoas"} }

// Master returns the master's URL.
func (o *Local) Master() string {
	return "http://" + net.JoinHostPort(o.IP, strconv.Itoa(o.Port)) + "/"
}

// definition returns the path of the file with the IPv6 network of the partitions' addresses, for
// an interface that has none.
func (o *Local) definition() string {
	return filepath.Join(o.Dir, "slapformat-definition.cfg")
}

// Network6 reports whether to read the definition, and writes it if needed. The first decision
// stays, since later the interface has the partitions' own addresses.
func (o *Local) Network6() (defined bool, err error) {
	if os.Geteuid() != 0 {
		return false, nil // no addresses are made
	}
	nic, err := net.InterfaceByName(o.Interface)
	if err != nil {
		return false, fault.Invalid("ip link lists what there is", "--interface-name: there is no interface %s", o.Interface)
	}
	for _, path := range []string{o.definition(), filepath.Join(o.Dir, "slapos.cfg")} {
		if _, err := os.Stat(path); err == nil {
			return path == o.definition(), nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	all, err := nic.Addrs()
	if err != nil {
		return false, err
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is6() && p.Addr().IsGlobalUnicast() {
			return false, nil
		}
	}
	if off, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + o.Interface + "/disable_ipv6"); err != nil || strings.TrimSpace(string(off)) != "0" {
		return false, fault.Conflict(
			"sysctl -w net.ipv6.conf."+o.Interface+".disable_ipv6=0, if the kernel has it",
			"IPv6 is off on the interface %s, and each partition has an address of it", o.Interface,
		)
	}
	ip := [16]byte{0: 0xfd, 15: 1} // RFC 4193: the next 40 bits are random
	_, _ = rand.Read(ip[1:6])
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return false, err
	}
	return true, WriteNew(o.definition(), fmt.Sprintf("[computer]\naddress = %s/64\n", netip.AddrFrom16(ip)))
}

// Text returns the slapos.cfg of node and master.
func (o *Local) Text(defined bool) string {
	at := func(name string) string { return percent(filepath.Join(o.Buildout, name)) }
	root, alter := "", ""
	if defined {
		alter = "input_definition_file = " + percent(o.definition()) + "\n"
	}
	if os.Geteuid() != 0 { // all belongs to the calling user
		root, alter = "root_check = false\n", "alter_user = false\nalter_network = false\n"
	}
	text := fmt.Sprintf(`[slapos]
software_root = %s
instance_root = %s
master_url = %s
computer_id = %s
%spidfile_software = %s
pidfile_instance = %s
pidfile_report = %s

[slapformat]
computer_xml = %s
partition_amount = %d
partition_base_name = slappart
user_base_name = slapuser
tap_base_name = slaptap
interface_name = %s
ipv4_local_network = %s
create_tap = false
%s
[slapproxy]
host = %s
port = %d
database_uri = %s
`, percent(o.Software), percent(o.Instances), percent(o.Master()), LocalComputer, root,
		at("slapgrid-sr.pid"), at("slapgrid-cp.pid"), at("slapgrid-ur.pid"), at("slapos.xml"),
		o.Partitions, percent(o.Interface), percent(o.Network), alter, o.IP, o.Port, at("slapproxy.db"))
	if o.CachePath != "" {
		url := o.Master() + o.CachePath[1:]
		text += fmt.Sprintf(`shacache_content_directory = %s
shacache_metadata_directory = %s

[networkcache]
download-cache-url = %[3]s/cache
download-dir-url = %[3]s/dir
`, at("shacache/content"), at("shacache/dir"), percent(url))
	}
	return text
}
