package format

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/hostler-project/hostler/slapos/proto"
)

// A Computer is the description of a formatted machine, as it is posted to the master and kept in
// the state file.
type Computer struct {
	Reference     string
	Address       netip.Prefix // invalid where the computer has none
	PublicIPv4    string
	Interface     Interface
	IPv6Interface string // as it was configured
	IPv6Range     bool
	SoftwareUser  string
	SoftwareRoot  string
	InstanceRoot  string
	StorageHome   string
	TapGateway    string
	TapIPv6       bool
	Platform      string
	Version       string
	Partitions    []Partition
}

// An Interface is where a computer's addresses are.
type Interface struct {
	Name        string
	IPv4Network string
	IPv6Name    string
	PrefixShift int
}

// A Partition is one of a computer's.
type Partition struct {
	Reference    string
	Path         string
	User         User
	Addresses    []Address
	Range        netip.Prefix // of IPv6; invalid: none
	Tap          Tunnel
	Tun          *Tunnel
	Storage      []string // directories of it elsewhere
	Capabilities []string
	Limits       Limits
}

// A User is the owner of a partition.
type User struct {
	Name, Shell, Home string
	Groups            []string
}

// An Address is one of a partition's, with its mask written as an address.
type Address struct {
	IP      netip.Addr
	Netmask string
}

// A Tunnel is a tap or a tun interface of a partition. A tap's addresses are those of the peer
// behind it. A field "" is absent; without a name there is no tunnel.
type Tunnel struct {
	Name                                            string
	IPv4Addr, IPv4Netmask, IPv4Gateway, IPv4Network string
	IPv6Addr, IPv6Netmask, IPv6Gateway, IPv6Network string
}

// Dictionary is the value that is posted (SlapOS: loadComputerConfigurationFromXML).
func (c *Computer) Dictionary() proto.Dictionary {
	partitions := proto.List{}
	for i := range c.Partitions {
		partitions = append(partitions, c.Partitions[i].Dictionary())
	}
	address, mask := "", ""
	if c.Address.IsValid() {
		address, mask = c.Address.Addr().String(), netmask(c.Address)
	}
	return proto.Dictionary{
		"reference": c.Reference, "address": address, "netmask": mask,
		"interface": proto.Dictionary{
			"name": c.Interface.Name, "ipv4_local_network": orNone(c.Interface.IPv4Network),
			"ipv6_interface": c.Interface.IPv6Name, "ipv6_prefixshift": c.Interface.PrefixShift,
		},
		"ipv6_interface": orNone(c.IPv6Interface), "partition_has_ipv6_range": c.IPv6Range,
		"software_user": c.SoftwareUser, "software_root": c.SoftwareRoot, "instance_root": c.InstanceRoot,
		"instance_storage_home": orNone(c.StorageHome), "tap_gateway_interface": c.TapGateway, "tap_ipv6": c.TapIPv6,
		"public_ipv4_address": orNone(c.PublicIPv4),
		"os_type":             c.Platform, "python_version": "", "slapos_version": c.Version, "partition_list": partitions,
	}
}

// Dictionary is the partition in its computer's description, and its own .slapos-resource.
func (p *Partition) Dictionary() proto.Dictionary {
	addresses, groups, storage := proto.List{}, proto.List{}, proto.List{}
	for _, a := range p.Addresses {
		addresses = append(addresses, proto.Dictionary{"addr": a.IP.String(), "netmask": a.Netmask})
	}
	for _, g := range p.User.Groups {
		groups = append(groups, g)
	}
	for _, s := range p.Storage {
		storage = append(storage, s)
	}
	d := proto.Dictionary{
		"reference": p.Reference, "path": p.Path,
		"user":         proto.Dictionary{"name": p.User.Name, "shell": p.User.Shell, "path": p.User.Home, "additional_group_list": groups},
		"address_list": addresses, "ipv6_range": nil, "tap": p.Tap.dictionary(), "tun": nil, "external_storage_list": storage,
	}
	if p.Range.IsValid() {
		d["ipv6_range"] = proto.Dictionary{
			"addr": p.Range.Addr().String(), "netmask": netmask(p.Range), "network": p.Range.String(),
			"prefixlen": p.Range.Bits(),
		}
	}
	if p.Tun != nil {
		d["tun"] = p.Tun.dictionary()
	}
	if len(p.Capabilities) > 0 {
		list := proto.List{}
		for _, c := range p.Capabilities {
			list = append(list, c)
		}
		d["capability_list"] = list
	}
	for key, value := range p.Limits.dictionary() {
		d[key] = value
	}
	return d
}

// dictionary has the limits that are set. The reference's readers ignore these keys.
func (l Limits) dictionary() proto.Dictionary {
	d := proto.Dictionary{}
	if l.Memory > 0 {
		d[memoryKey] = l.Memory
	}
	if l.CPU > 0 {
		d[cpuKey] = l.CPU
	}
	if l.PIDs > 0 {
		d[pidsKey] = l.PIDs
	}
	return d
}

func (t *Tunnel) dictionary() proto.Dictionary {
	return proto.Dictionary{
		"name": t.Name, "ipv4_addr": t.IPv4Addr, "ipv4_netmask": t.IPv4Netmask, "ipv4_gateway": t.IPv4Gateway,
		"ipv4_network": t.IPv4Network,
		"ipv6_addr":    t.IPv6Addr, "ipv6_netmask": t.IPv6Netmask, "ipv6_gateway": t.IPv6Gateway, "ipv6_network": t.IPv6Network,
	}
}

// orNone is a text, or none for "".
func orNone(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// indented is a value as JSON that people read.
func indented(d proto.Dictionary) []byte {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		panic(err) // texts, numbers and lists of ours
	}
	return append(text, '\n')
}

// LimitsOf are the limits of the partitions that have any, by reference, from a state file. A
// missing file has none.
func LimitsOf(state string) (map[string]Limits, error) {
	c, err := ReadState(state)
	if c == nil || err != nil {
		return nil, err
	}
	all := map[string]Limits{}
	for i := range c.Partitions {
		if l := c.Partitions[i].Limits; l != (Limits{}) {
			all[c.Partitions[i].Reference] = l
		}
	}
	return all, nil
}

// readComputer reads back what Dictionary made, as far as a later run needs it. Unknown fields are
// ignored.
func readComputer(v any) (*Computer, error) {
	d, ok := v.(proto.Dictionary)
	if !ok {
		return nil, fmt.Errorf("it is no description of a computer: a dictionary was expected")
	}
	c := &Computer{Reference: text(d, "reference")}
	if a, err := parsePrefix(text(d, "address") + "/" + text(d, "netmask")); err == nil {
		c.Address = a
	}
	list, ok := d["partition_list"].(proto.List)
	if !ok {
		return nil, fmt.Errorf("it is no description of a computer: it has no partition_list")
	}
	for _, item := range list {
		of, ok := item.(proto.Dictionary)
		if !ok {
			return nil, fmt.Errorf("a partition in it is no dictionary")
		}
		c.Partitions = append(c.Partitions, readPartition(of))
	}
	return c, nil
}

// readPartition reads one partition of a state file. Malformed parts are left out.
func readPartition(d proto.Dictionary) Partition {
	p := Partition{Reference: text(d, "reference"), Path: text(d, "path")}
	if user, ok := d["user"].(proto.Dictionary); ok {
		p.User.Name, p.User.Home = text(user, "name"), text(user, "path")
	}
	if list, ok := d["address_list"].(proto.List); ok {
		for _, item := range list {
			of, _ := item.(proto.Dictionary)
			if ip, err := netip.ParseAddr(text(of, "addr")); err == nil {
				p.Addresses = append(p.Addresses, Address{ip, text(of, "netmask")})
			}
		}
	}
	if of, ok := d["tap"].(proto.Dictionary); ok {
		p.Tap = readTunnel(of)
	}
	if of, ok := d["tun"].(proto.Dictionary); ok {
		t := readTunnel(of)
		p.Tun = &t
	}
	if n, ok := d[memoryKey].(int64); ok && n > 0 {
		p.Limits.Memory = n
	}
	if n, ok := d[cpuKey].(float64); ok && n > 0 {
		p.Limits.CPU = n
	}
	if n, ok := d[pidsKey].(int64); ok && n > 0 {
		p.Limits.PIDs = int(n)
	}
	return p
}

func readTunnel(d proto.Dictionary) Tunnel {
	return Tunnel{Name: text(d, "name"), IPv4Addr: text(d, "ipv4_addr"), IPv4Netmask: text(d, "ipv4_netmask"),
		IPv4Gateway: text(d, "ipv4_gateway"), IPv4Network: text(d, "ipv4_network"),
		IPv6Addr: text(d, "ipv6_addr"), IPv6Netmask: text(d, "ipv6_netmask"), IPv6Gateway: text(d, "ipv6_gateway"),
		IPv6Network: text(d, "ipv6_network")}
}

// text is a text of a dictionary; "" for another value.
func text(d proto.Dictionary, key string) string {
	s, _ := d[key].(string)
	return s
}
