package format

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/node/home"
)

// A Definition says by hand what would else be chosen (SlapOS: slapformat's input_definition_file).
type Definition struct {
	Address      netip.Prefix // of the computer
	SoftwareUser string
	Partitions   map[int]DefinedPartition // by number
}

// A DefinedPartition is a definition's part about one partition. Empty fields are chosen by the
// plan.
type DefinedPartition struct {
	Addresses    []netip.Prefix
	User         string
	Interface    string
	Path         string // the name of its directory in the instance root
	Range        netip.Prefix
	Capabilities []string
	Limits       Limits
}

// ReadDefinition reads a definition file.
func ReadDefinition(path string) (*Definition, error) {
	f, err := cfg.Read(path)
	if err != nil {
		return nil, err
	}
	return define(f)
}

// define reads a definition: the section computer, and partition_N for each partition N.
func define(f *cfg.File) (*Definition, error) {
	d := &Definition{Partitions: map[int]DefinedPartition{}}
	for _, section := range f.Sections() {
		if section == "computer" {
			text, err := f.Text(section, "address")
			if err != nil {
				return nil, err
			}
			if text = strings.TrimSpace(text); text != "" {
				if d.Address, err = parsePrefix(text); err != nil {
					return nil, f.Fail(section, "address", "%v", err)
				}
			}
			user, err := f.Text(section, "software_user")
			if err != nil {
				return nil, err
			}
			if d.SoftwareUser = strings.TrimSpace(user); d.SoftwareUser != "" && !plain(d.SoftwareUser) {
				return nil, f.Fail(section, "software_user", "is no user's name: %q", d.SoftwareUser)
			}
			continue
		}
		number, ok := strings.CutPrefix(section, "partition_")
		n, err := strconv.Atoi(number)
		if !ok || err != nil || n < 0 || number != strconv.Itoa(n) {
			continue // another program's
		}
		if d.Partitions[n], err = definePartition(f, section); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// definePartition reads and checks the section of one partition.
func definePartition(f *cfg.File, section string) (p DefinedPartition, err error) {
	texts := map[string]string{}
	for _, key := range []string{"address", "user", "network_interface", "pathname", "ipv6_range"} {
		text, err := f.Text(section, key)
		if err != nil {
			return p, err
		}
		texts[key] = strings.TrimSpace(text)
	}
	for _, text := range strings.Fields(texts["address"]) {
		a, err := parsePrefix(text)
		if err != nil {
			return p, f.Fail(section, "address", "%v", err)
		}
		p.Addresses = append(p.Addresses, a)
	}
	p.User, p.Interface, p.Path = texts["user"], texts["network_interface"], texts["pathname"]
	if p.User != "" && !plain(strings.ReplaceAll(p.User, ".", "_")) {
		return p, f.Fail(section, "user", "is no user's name: %q", p.User)
	}
	if p.Interface != "" && (len(p.Interface) > 15 || strings.ContainsAny(p.Interface, "/ \t\n")) {
		return p, f.Fail(section, "network_interface", "is no interface's name: %q", p.Interface)
	}
	if p.Path != "" && !home.IsPartition(p.Path) {
		return p, f.Fail(section, "pathname", "is no name of a directory in the instance root: %q", p.Path)
	}
	if text := texts["ipv6_range"]; text != "" {
		if p.Range, err = parsePrefix(text); err != nil || p.Range.Addr().Is4() {
			return p, f.Fail(section, "ipv6_range", "is no network of IPv6: %q", text)
		}
		p.Range = p.Range.Masked()
	}
	if p.Capabilities, err = f.Lines(section, "capability_list"); err != nil {
		return p, err
	}
	p.Limits, err = readLimits(f, section)
	return p, err
}

// parsePrefix reads an address with its mask, by length (2001:db8::1/64) or written out
// (10.0.0.1/255.255.0.0).
func parsePrefix(text string) (netip.Prefix, error) {
	wrong := fmt.Errorf("is no address with its mask, as 2001:db8::1/64: %q", text)
	addr, mask, ok := strings.Cut(text, "/")
	a, err := netip.ParseAddr(addr)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return netip.Prefix{}, wrong
	}
	if !ok {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	length, err := strconv.Atoi(mask)
	if err != nil {
		if length, ok = maskLength(mask); !ok {
			return netip.Prefix{}, wrong
		}
	}
	p := netip.PrefixFrom(a, length)
	if !p.IsValid() {
		return netip.Prefix{}, wrong
	}
	return p, nil
}

// maskLength is the length of a mask that is written as an address.
func maskLength(mask string) (int, bool) {
	m, err := netip.ParseAddr(mask)
	if err != nil {
		return 0, false
	}
	n, zero := 0, false
	for _, b := range m.AsSlice() {
		ones := bits.LeadingZeros8(^b)
		if zero && b != 0 || b != ^byte(0xff>>ones) {
			return 0, false
		}
		n += ones
		zero = zero || ones < 8
	}
	return n, true
}

// netmask is a prefix' mask written as an address.
func netmask(p netip.Prefix) string {
	ones := netip.IPv6Unspecified()
	if p.Addr().Is4() {
		ones = netip.IPv4Unspecified()
	}
	all := ones.AsSlice()
	for i := range all {
		all[i] = 0xff
	}
	mask, _ := netip.AddrFromSlice(all)
	return netip.PrefixFrom(mask, p.Bits()).Masked().Addr().String()
}
