package format

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/cfg"
)

// Options say what a computer is to be: the keys of [slapformat] and [slapos].
type Options struct {
	Computer     string // its reference
	InstanceRoot string
	SoftwareRoot string

	State         string // file with the description and the choices of this run (computer_xml)
	JSON          string // file: the same as JSON; "" is none
	DefinitionOut string // file: the same as a definition; "" is none

	Partitions    int
	PartitionBase string // names are the base and a number
	UserBase      string
	TapBase       string
	SoftwareUser  string

	Interface     string // has the partitions' IPv4 addresses
	IPv6Interface string // and this one those of IPv6; "" is the same
	IPv4Network   netip.Prefix
	PrefixShift   int // bits that number the networks of partitions within the computer's
	// the interface from whose network taps get an IPv4 address; "" gives them none
	TapGateway string
	PublicIPv4 string // posted as it is

	AlterUser    bool // users are made
	AlterNetwork bool // links, addresses and routes are made
	CreateTap    bool
	TapIPv6      bool
	IPv6Range    bool // each partition has a network of IPv6
	CreateTun    bool
	TunIPv6      bool

	StorageHome  string // directories dataN in it have a directory for each partition; "" is none
	Certificates string // directory, made; "" is none
	Limits       Limits // of the partitions that say nothing else

	Version  string // of what formats, as the master is told
	Platform string // of the operating system: JSON text of platform, id, version and name
}

// Limits are what the programs of a partition may use together. 0 is no limit.
type Limits struct {
	Memory int64   // bytes
	CPU    float64 // cores
	PIDs   int     // processes and threads
}

// The keys of the limits, in definitions and in slapos.cfg.
const (
	memoryKey = "memory_max"
	cpuKey    = "cpu_max"
	pidsKey   = "pids_max"
)

// ReadOptions reads the options of a slapos.cfg: [slapos] wins over [slapformat]. Errors name file,
// line and key. Call Check afterwards, as the command line may add to them.
func ReadOptions(f *cfg.File) (*Options, error) {
	r := reader{f: f}
	o := &Options{
		Computer: r.text("computer_id", ""), InstanceRoot: r.path("instance_root"), SoftwareRoot: r.path("software_root"),
		State: r.path("computer_xml"), JSON: r.path("computer_json"), DefinitionOut: r.path("output_definition_file"),
		Partitions: r.number("partition_amount", 0), PartitionBase: r.text("partition_base_name", "slappart"),
		UserBase: r.text("user_base_name", "slapuser"),
		TapBase:  r.text("tap_base_name", "slaptap"), SoftwareUser: r.text("software_user", "slapsoft"),
		Interface: r.text("interface_name", ""), IPv6Interface: r.text("ipv6_interface", ""), PrefixShift: r.number("ipv6_prefixshift", 16),
		TapGateway: r.text("tap_gateway_interface", ""), PublicIPv4: r.text("public_ipv4_address", ""),
		AlterUser: r.bool("alter_user", true), AlterNetwork: r.bool("alter_network", true),
		CreateTap: r.bool("create_tap", true), TapIPv6: r.bool("tap_ipv6", true),
		IPv6Range: r.bool("partition_has_ipv6_range", true), CreateTun: r.bool("create_tun", false), TunIPv6: r.bool("tun_ipv6", true),
		StorageHome: r.path("instance_storage_home"), Certificates: r.path("certificate_repository_path"),
	}
	if text := r.text("ipv4_local_network", ""); text != "" {
		p, err := netip.ParsePrefix(text)
		if err != nil || !p.Addr().Is4() {
			r.fail("ipv4_local_network", "is no network of IPv4, as 10.0.0.0/16: %q", text)
		}
		o.IPv4Network = p.Masked()
	}
	for _, key := range []string{"bridge_name", "no_bridge"} {
		if _, there := r.section(key); there {
			r.fail(key, "is totally deprecated: interface_name says where the addresses are")
		}
	}
	if section, there := r.section(memoryKey, cpuKey, pidsKey); there && r.err == nil {
		o.Limits, r.err = readLimits(f, section)
	}
	return o, r.err
}

// Input is the definition file that a slapos.cfg names; "" is none.
func Input(f *cfg.File) (string, error) {
	r := reader{f: f}
	return r.path("input_definition_file"), r.err
}

// reader reads options, to the first error.
type reader struct {
	f   *cfg.File
	err error
}

// section returns the section that has one of the keys, or false and slapformat.
func (r *reader) section(keys ...string) (string, bool) {
	for _, section := range []string{"slapos", "slapformat"} {
		for _, key := range keys {
			if r.f.Has(section, key) {
				return section, true
			}
		}
	}
	return "slapformat", false
}

func (r *reader) fail(key, format string, args ...any) {
	if r.err == nil {
		section, _ := r.section(key)
		r.err = r.f.Fail(section, key, format, args...)
	}
}

// text returns an option, trimmed; an empty one is deft. The first error is kept in r.err, and
// after it every option is deft.
func (r *reader) text(key, deft string) string {
	if r.err != nil {
		return deft
	}
	text, err := r.f.First(key, "slapos", "slapformat")
	if err != nil {
		r.err = err
	}
	if text = strings.TrimSpace(text); text == "" {
		return deft
	}
	return text
}

func (r *reader) path(key string) string { return cfg.Home(r.text(key, "")) }

// number returns an option that is zero or more.
func (r *reader) number(key string, deft int) int {
	text := r.text(key, "")
	if text == "" {
		return deft
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		r.fail(key, "is no number that can be meant: %q", text)
	}
	return n
}

func (r *reader) bool(key string, deft bool) bool {
	text := r.text(key, "")
	if text == "" {
		return deft
	}
	b, err := ParseBool(text)
	if err != nil {
		r.fail(key, "%v", err)
	}
	return b
}

// ParseBool reads true or false in any case, and nothing else: slapos.cfg knows no other words for
// them here.
func ParseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("is neither true nor false: %q", text)
}

// readLimits reads the limits of a section.
func readLimits(f *cfg.File, section string) (Limits, error) {
	var l Limits
	var err error
	if l.Memory, err = f.Size(section, memoryKey, 0); err != nil {
		return l, err
	}
	if l.Memory != 0 && l.Memory < 1<<20 {
		return l, f.Fail(section, memoryKey, "is less than 1M, with which nothing runs")
	}
	for key, to := range map[string]*float64{cpuKey: &l.CPU} {
		text, err := f.Text(section, key)
		if err != nil {
			return l, err
		}
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if *to, err = strconv.ParseFloat(text, 64); err != nil || !(*to >= 0.01 && *to <= 1e4) {
			return l, f.Fail(section, key, "is no number of cores, as 0.5 or 2: %q", text)
		}
	}
	text, err := f.Text(section, pidsKey)
	if text = strings.TrimSpace(text); err != nil || text == "" {
		return l, err
	}
	if l.PIDs, err = strconv.Atoi(text); err != nil || l.PIDs < 1 || l.PIDs > 1<<22 {
		return l, f.Fail(section, pidsKey, "is no number of processes: %q", text)
	}
	return l, nil
}

// Check returns an error for missing options and for options that do not fit together.
func (o *Options) Check() error {
	fail := func(hint, format string, args ...any) error {
		return &compute.Error{Op: "format", Kind: compute.ErrInvalid, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	var missing []string
	for _, one := range []struct{ key, value string }{
		{"computer_id", o.Computer}, {"instance_root", o.InstanceRoot}, {"software_root", o.SoftwareRoot},
		{"computer_xml", o.State},
	} {
		if one.value == "" {
			missing = append(missing, one.key)
		}
	}
	if o.Partitions < 1 {
		missing = append(missing, "partition_amount")
	}
	if o.AlterNetwork && o.Interface == "" {
		missing = append(missing, "interface_name")
	}
	if o.AlterNetwork && !o.IPv4Network.IsValid() {
		missing = append(missing, "ipv4_local_network")
	}
	if len(missing) > 0 {
		return fail("they stand in [slapformat] or [slapos] of slapos.cfg", "options are missing: %s", strings.Join(missing, ", "))
	}
	for key, path := range map[string]string{
		"instance_root": o.InstanceRoot, "software_root": o.SoftwareRoot, "computer_xml": o.State,
		"instance_storage_home": o.StorageHome, "certificate_repository_path": o.Certificates,
	} {
		if path != "" && !filepath.IsAbs(path) {
			return fail("", "%s is no absolute path: %s", key, path)
		}
	}
	last := strconv.Itoa(o.Partitions - 1)
	switch {
	case o.Partitions > 10000:
		return fail("", "partition_amount is more than 10000: %d", o.Partitions)
	case o.PrefixShift < 2 || o.PrefixShift > 32 || 1<<o.PrefixShift < 4*o.Partitions:
		return fail(
			"",
			"ipv6_prefixshift is %d, and 2 to the power of it must be 4 × partition_amount (%d) at least, and it 32 at most",
			o.PrefixShift, o.Partitions,
		)
	case !plain(o.PartitionBase) || !plain(o.UserBase) || !plain(o.TapBase) || !plain(o.SoftwareUser):
		return fail(
			"",
			"partition_base_name, user_base_name, tap_base_name and software_user are of letters, digits, - and _: %q, %q, %q, %q",
			o.PartitionBase, o.UserBase, o.TapBase, o.SoftwareUser,
		)
	case len(o.UserBase+last) > 32 || len(o.SoftwareUser) > 32:
		return fail("", "a user's name has 32 characters at most: %s, %s", o.UserBase+last, o.SoftwareUser)
	case len(o.TapBase+last) > 15:
		return fail("", "an interface's name has 15 characters at most: %s", o.TapBase+last)
	case o.SoftwareUser == "root":
		return fail("", "software_user is root, who builds no software")
	}
	return nil
}

// plain says whether a name can be a user's, an interface's and a directory's.
func plain(name string) bool {
	return name != "" && name[0] != '-' && strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) < 0
}

// interface6 is the interface with the addresses of IPv6.
func (o *Options) interface6() string {
	if o.IPv6Interface != "" {
		return o.IPv6Interface
	}
	return o.Interface
}
