package configurecmd

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
	"github.com/hostler-project/hostler/controller/slapos"
)

// check refuses bad options, and makes the paths absolute.
func (o *localOptions) check() error {
	ip, err := netip.ParseAddr(o.ip)
	switch {
	case err != nil || !ip.IsLoopback():
		return fault.Invalid(
			"hostler slapos proxy start can listen elsewhere, with certificates",
			"--daemon-listen-ip %s: an address of this machine alone, as 127.0.0.1", o.ip,
		)
	case o.port < 1 || o.port > 65535:
		return fault.Invalid("", "--daemon-listen-port %d: from 1 to 65535", o.port)
	case o.partitions < 1:
		return fault.Invalid("", "--partition-number %d: at least 1", o.partitions)
	}
	if _, err := netip.ParsePrefix(o.network); err != nil {
		return fault.Invalid("", "--ipv4-local-network: %w", err)
	}
	for option, text := range map[string]*string{
		"--slapos-instance-root": &o.instances, "--slapos-software-root": &o.software,
		"--slapos-buildout-directory": &o.buildout, "--slapos-configuration-directory": &o.config,
	} {
		if *text, err = filepath.Abs(*text); err != nil {
			return err
		}
		if err := oneLine(*text); err != nil {
			return fault.Invalid("", "%s: %w", option, err)
		}
	}
	if err := oneLine(o.nic + "."); err != nil {
		return fault.Invalid("", "--interface-name: %w", err)
	}
	return nil
}

func (o *localOptions) master() string {
	return "http://" + net.JoinHostPort(o.ip, strconv.Itoa(o.port)) + "/"
}

// definition returns the path of the file with the IPv6 network of the partitions' addresses, for
// an interface that has none.
func (o *localOptions) definition() string {
	return filepath.Join(o.config, "slapformat-definition.cfg")
}

// network6 reports whether to read the definition, and writes it if needed. The first decision
// stays, since later the interface has the partitions' own addresses.
func (o *localOptions) network6() (defined bool, err error) {
	if os.Geteuid() != 0 {
		return false, nil // no addresses are made
	}
	nic, err := net.InterfaceByName(o.nic)
	if err != nil {
		return false, fault.Invalid("ip link lists what there is", "--interface-name: there is no interface %s", o.nic)
	}
	for _, path := range []string{o.definition(), filepath.Join(o.config, "slapos.cfg")} {
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
	if off, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + o.nic + "/disable_ipv6"); err != nil || strings.TrimSpace(string(off)) != "0" {
		return false, fault.Conflict(
			"sysctl -w net.ipv6.conf."+o.nic+".disable_ipv6=0, if the kernel has it",
			"IPv6 is off on the interface %s, and each partition has an address of it", o.nic,
		)
	}
	ip := [16]byte{0: 0xfd, 15: 1} // RFC 4193: the next 40 bits are random
	_, _ = rand.Read(ip[1:6])
	if err := os.MkdirAll(o.config, 0o755); err != nil {
		return false, err
	}
	return true, writeNew(o.definition(), fmt.Sprintf("[computer]\naddress = %s/64\n", netip.AddrFrom16(ip)))
}

// text returns the slapos.cfg of node and master.
func (o *localOptions) text(defined bool) string {
	at := func(name string) string { return percent(filepath.Join(o.buildout, name)) }
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
`, percent(o.software), percent(o.instances), percent(o.master()), LocalComputer, root, at("slapgrid-sr.pid"), at("slapgrid-cp.pid"), at("slapgrid-ur.pid"), at("slapos.xml"),
		o.partitions, percent(o.nic), percent(o.network), alter, o.ip, o.port, at("slapproxy.db"))
	if o.cache {
		url := o.master() + slapos.CachePath[1:]
		text += fmt.Sprintf(`shacache_content_directory = %s
shacache_metadata_directory = %s

[networkcache]
download-cache-url = %[3]s/cache
download-dir-url = %[3]s/dir
`, at("shacache/content"), at("shacache/dir"), percent(url))
	}
	return text
}
