package standalone

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/cfg"
)

// The names below the directory (SlapOS: slap.standalone).
const (
	Config       = cfg.StandaloneFile
	definition   = "etc/slapformat-definition.cfg"
	state        = "etc/slapos.xml"
	logsDir      = "var/log"
	runDir       = "var/run"
	instancesDir = "inst"
	Wrapper      = cfg.StandaloneScript
	auto         = "bin/slapos-node-auto"
)

// longest is how many characters the path of a socket in the directory may have, and socket is as
// long as one of them there (SlapOS: sv.sock.xxxxxxx).
const (
	longest = 108
	socket  = "/sv.sock.xxxxxxx"
)

// ErrTooDeep is the error for a directory whose path is too long for the sockets in it.
var ErrTooDeep = errors.New("too deep")

// Options are the choices for a directory.
type Options struct {
	Dir        string // an absolute path
	Program    string // hostler's, absolute; "" is hostler on PATH
	User       string // the owner's name; "": our own
	Computer   string // ID; "" is local
	Partitions int    // 0 is 10
	Base       string // name of the partitions, before a number; "" is slappart

	// The addresses of the partitions. A network of one address is shared by all. In a larger one
	// each has its own, beginning with the given one. The invalid ones are 127.0.0.1 and ::1.
	IPv4, IPv6 netip.Prefix
	NoIPv6     bool // no IPv6 for partitions

	Buildout string // the program that bootstraps releases; "" is buildout on PATH
	Software string // directory of the releases; "" is soft in the directory
	// build no software here, ever: another program makes the releases in Software
	InstanceOnly bool

	// the least that must be free for a release, and for an instance, where the settings say
	// something else than minFree
	space [2]string
}

const minFree = "100M"

// complete sets defaults.
func (o *Options) complete() (err error) {
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return err
	}
	if err := o.keep(); err != nil {
		return err
	}
	o.Computer, o.Base = cmp.Or(o.Computer, "local"), cmp.Or(o.Base, "slappart")
	o.Partitions = cmp.Or(o.Partitions, 10)
	if !o.IPv4.IsValid() {
		o.IPv4 = netip.MustParsePrefix("127.0.0.1/32")
	}
	if o.NoIPv6 {
		o.IPv6 = netip.Prefix{}
	} else if !o.IPv6.IsValid() {
		o.IPv6 = netip.MustParsePrefix("::1/128")
	}
	if o.User == "" {
		o.User = strconv.Itoa(os.Geteuid())
		if me, err := user.Current(); err == nil {
			o.User = me.Username
		}
	}
	if o.Program == "" {
		if o.Program, err = exec.LookPath("hostler"); err == nil {
			o.Program, err = filepath.Abs(o.Program)
		}
		if err != nil {
			return &compute.Error{Op: "standalone", Kind: compute.ErrNotFound, Err: err, Hint: "put it on PATH, or name it by Program"}
		}
	}
	return nil
}

// Layout is a directory that was laid out, with its paths.
type Layout struct {
	Dir    string
	Port   int    // of the master, on 127.0.0.1
	Master string // its URL
	base   string
	names  []string
}

// At is a path in the directory.
func (l *Layout) At(name string) string { return filepath.Join(l.Dir, name) }

// Names are the partitions.
func (l *Layout) Names() []string { return l.names }

// Environ is an environment in which the commands of SlapOS mean this one.
func (l *Layout) Environ(inherited []string) []string {
	out := make([]string, 0, len(inherited)+3)
	path := l.At("bin")
	for _, entry := range inherited {
		switch key, value, _ := strings.Cut(entry, "="); key {
		case "SLAPOS_CONFIGURATION", "SLAPOS_CLIENT_CONFIGURATION":
		case "PATH":
			path += ":" + value
		default:
			out = append(out, entry)
		}
	}
	return append(out, "SLAPOS_CONFIGURATION="+l.At(Config), "SLAPOS_CLIENT_CONFIGURATION="+l.At(Config), "PATH="+path)
}

// own is a section with what only a layout knows.
const own = "standalone"

// keep takes unset options from an earlier layout of the directory. The computer's name cannot
// change: another one is ErrConflict.
func (o *Options) keep() error {
	if _, err := os.Lstat(filepath.Join(o.Dir, definition)); err != nil {
		return nil // Check says what it is
	}
	was, err := cfg.Read(filepath.Join(o.Dir, Config))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	fail := func(err error) error {
		return &compute.Error{
			Op: "standalone", Kind: compute.ErrInvalid, Err: err,
			Hint: "without the file it is written anew, for another port",
		}
	}
	text := func(section, key string) (text string) {
		if err == nil {
			text, err = was.Text(section, key)
		}
		return strings.TrimSpace(text)
	}
	amount, only, computer := text("slapformat", "partition_amount"), text(own, "instance_only"), text("slapos", "computer_id")
	o.Base, o.Buildout, o.Software = cmp.Or(
		o.Base, text("slapformat", "partition_base_name"),
	), cmp.Or(o.Buildout, text("slapos", "buildout")), cmp.Or(o.Software, text(own, "software_root"))
	four, six := text(own, "ipv4"), text(own, "ipv6")
	o.space = [2]string{text("slapos", "software_min_free_space"), text("slapos", "instance_min_free_space")}
	if err != nil {
		return fail(err)
	}
	if o.Partitions == 0 && amount != "" {
		if o.Partitions, err = strconv.Atoi(amount); err != nil {
			return fail(err)
		}
	}
	o.InstanceOnly = o.InstanceOnly || only == "true"
	if !o.IPv4.IsValid() && four != "" {
		if o.IPv4, err = netip.ParsePrefix(four); err != nil {
			return fail(err)
		}
	}
	if !o.IPv6.IsValid() && !o.NoIPv6 && six != "" {
		if o.IPv6, err = netip.ParsePrefix(six); err != nil {
			return fail(err)
		}
	}
	o.NoIPv6 = o.NoIPv6 || !o.IPv6.IsValid() && was.Has(own, "ipv6")
	if computer != "" && o.Computer != "" && computer != o.Computer {
		return &compute.Error{
			Op: "standalone", Kind: compute.ErrConflict,
			Err:  fmt.Errorf("the computer in %s is called %s, and its master knows it so", o.Dir, computer),
			Hint: "another directory can have another one",
		}
	}
	o.Computer = computer
	return nil
}

// Check says whether a directory can be laid out: ErrInvalid, or ErrConflict if it has other
// content.
func (o *Options) Check() error {
	fail := func(kind error, hint, format string, args ...any) error {
		return &compute.Error{Op: "standalone", Kind: kind, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	switch {
	case !filepath.IsAbs(o.Dir) || strings.ContainsAny(o.Dir, "\n\r:"):
		return fail(compute.ErrInvalid, "", "%q is no directory that can be named in settings and in PATH", o.Dir)
	case len(o.Dir)+len(socket) > longest:
		return fail(
			compute.ErrInvalid, "take a directory with a shorter path",
			"%s is %w: a socket there would have a path of %d characters, and %d is the most", o.Dir, ErrTooDeep,
			len(o.Dir)+len(socket), longest,
		)
	case o.Partitions < 1 || o.Partitions > 1000:
		return fail(compute.ErrInvalid, "", "%d partitions: from 1 to 1000", o.Partitions)
	case !plain(o.Base) || o.Base[0] >= '0' && o.Base[0] <= '9':
		return fail(compute.ErrInvalid, "", "%q is no name for partitions: letters, digits, - and _", o.Base)
	case !plain(o.Computer):
		return fail(compute.ErrInvalid, "", "%q is no name for a computer: letters, digits, - and _", o.Computer)
	case !o.IPv4.IsValid() || !o.IPv4.Addr().Is4():
		return fail(compute.ErrInvalid, "", "the partitions' first address is one of IPv4, and %s is not", o.IPv4)
	case o.IPv6.IsValid() && (!o.IPv6.Addr().Is6() || o.IPv6.Addr().Is4In6()):
		return fail(compute.ErrInvalid, "", "the partitions' second address is one of IPv6, and %s is not", o.IPv6)
	case o.Software != "" && (!filepath.IsAbs(o.Software) || strings.ContainsAny(o.Software, "\n\r")),
		strings.ContainsAny(o.Buildout, "\n\r"):
		return fail(compute.ErrInvalid, "", "%q and %q: the first is an absolute path, both are in one line", o.Software, o.Buildout)
	case o.InstanceOnly && o.Software == "":
		return fail(
			compute.ErrInvalid, "--software-root names it",
			"where nothing is built the releases are in another directory, and none is named",
		)
	}
	for _, all := range []netip.Prefix{o.IPv4, o.IPv6} {
		if last := partitionAddress(all, o.Partitions-1); all.IsValid() && !last.IsValid() {
			return fail(compute.ErrInvalid, "", "%s has not an address for each of %d partitions", all, o.Partitions)
		}
	}
	entries, err := os.ReadDir(o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fail(compute.ErrInvalid, "", "%w", err)
	}
	// an earlier layout was killed before there was more
	begun := len(entries) == 0 || len(entries) == 1 && entries[0].Name() == "var"
	if _, err := os.Lstat(filepath.Join(o.Dir, definition)); err != nil && !begun {
		return fail(
			compute.ErrConflict, "name one that is empty, or not there",
			"%s has something in it, and that is no SlapOS of this kind", o.Dir,
		)
	}
	return nil
}

func plain(name string) bool {
	return name != "" && name[0] != '-' && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// partitionAddress is the address of a partition; the invalid one without a network.
func partitionAddress(all netip.Prefix, i int) netip.Addr {
	at := all.Addr()
	if !all.IsValid() || all.IsSingleIP() {
		return at
	}
	for range i {
		at = at.Next()
	}
	if !all.Contains(at) {
		return netip.Addr{}
	}
	return at
}

// MakeLayout lays a directory out. It completes the options by the earlier layout, makes missing
// parts, and rewrites the settings and programs. The master's port stays, or is a free one the
// first time.
func MakeLayout(o *Options) (*Layout, error) { return makeLayout(o, false) }

// makeLayout lays out; running: our master has its port.
func makeLayout(o *Options, running bool) (*Layout, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	fail := func(err error) (*Layout, error) {
		return nil, &compute.Error{Op: "standalone", Kind: compute.ErrFailed, Err: err}
	}
	// before any file is written: the next start goes by these files
	if o.Software != "" && !o.InstanceOnly {
		if err := os.MkdirAll(o.Software, 0o755); err != nil {
			return nil, &compute.Error{
				Op: "standalone", Kind: compute.ErrInvalid, Err: fmt.Errorf("the directory for releases: %w", err),
				Hint: "--software-root names another",
			}
		}
	}
	for _, dir := range []string{"", "etc", "bin", "soft", instancesDir, "shared", "var", logsDir, runDir} {
		if o.InstanceOnly && (dir == "soft" || dir == "shared") {
			continue
		}
		mode := fs.FileMode(0o755)
		if dir == "" || dir == "shared" {
			mode = 0o750
		}
		if err := os.MkdirAll(filepath.Join(o.Dir, dir), mode); err != nil {
			return fail(err)
		}
	}
	l := &Layout{Dir: o.Dir, base: o.Base}
	var err error
	if l.Port, err = port(l.At(Config)); err != nil {
		return fail(err)
	}
	if running { // so it must be
	} else if err := free(l.Port); err != nil {
		return nil, &compute.Error{
			Op: "standalone", Kind: compute.ErrConflict,
			Err:  fmt.Errorf("the master's port %d is somebody else's now: %w", l.Port, err),
			Hint: "end what listens there, or remove the line port from " + l.At(Config),
		}
	}
	l.Master = "http://127.0.0.1:" + strconv.Itoa(l.Port)
	for i := range o.Partitions {
		l.names = append(l.names, o.Base+strconv.Itoa(i))
	}
	for _, f := range []struct {
		name, text string
		mode       fs.FileMode
	}{
		{definition, o.definition(), 0o644}, // the first: by it the directory is known as ours
		{Config, o.config(l), 0o644},
		{Wrapper, o.script(l, `slapos "$@"`), 0o755},
		{auto, o.script(l, o.node()+` "$@"`), 0o755},
	} {
		if err := write(l.At(f.name), f.text, f.mode); err != nil {
			return fail(err)
		}
	}
	return l, nil
}

// write has a file hold a text, whole or not at all.
func write(path, text string, mode fs.FileMode) error {
	if err := os.WriteFile(path+".new", []byte(text), mode); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// port is the one that settings say, or one that is free.
func port(path string) (int, error) {
	f, err := cfg.Read(path)
	if err == nil {
		text, err := f.Text("slapproxy", "port")
		if n, bad := strconv.Atoi(strings.TrimSpace(text)); err == nil && bad == nil && n > 0 && n < 1<<16 {
			return n, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// ending is how long an earlier master, whose owner was killed, may take to end.
const ending = 2 * time.Second

// free checks that there is no listener at a port: it would be taken for our master.
func free(port int) error {
	for end := time.Now().Add(ending); ; time.Sleep(20 * time.Millisecond) {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			return l.Close()
		} else if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(end) {
			return err
		}
	}
}

// config are the settings of master, node and client, which share one file.
func (o *Options) config(l *Layout) string {
	percent := func(text string) string { return strings.ReplaceAll(text, "%", "%%") }
	at := func(name string) string { return percent(l.At(name)) }
	software, building, six := percent(cmp.Or(o.Software, l.At("soft"))), "", ""
	if !o.InstanceOnly {
		building = "shared_part_list =\n  " + at("shared") + "\n"
	}
	if o.Buildout != "" {
		building += "buildout = " + percent(o.Buildout) + "\n"
	}
	if o.IPv6.IsValid() {
		six = o.IPv6.String()
	}
	return fmt.Sprintf(`# Written anew by hostler slapos standalone whenever it starts; the port stays.
[slapos]
computer_id = %[1]s
master_url = %[2]s
master_rest_url = %[2]s/hateoas
software_root = %[3]s
instance_root = %[4]s
%[5]sroot_check = False
forbid_supervisord_automatic_launch = true
software_min_free_space = %[17]s
instance_min_free_space = %[18]s
pidfile_software = %[6]s/slapos-node-software.pid
pidfile_instance = %[6]s/slapos-node-instance.pid
pidfile_report = %[6]s/slapos-node-report.pid

[slapformat]
input_definition_file = %[7]s
computer_xml = %[8]s
partition_amount = %[9]d
partition_base_name = %[10]s
alter_user = False
alter_network = False
create_tap = False
tap_ipv6 = False
partition_has_ipv6_range = False

[slapproxy]
host = 127.0.0.1
port = %[11]d
database_uri = %[12]s

[standalone]
ipv4 = %[13]s
ipv6 = %[14]s
instance_only = %[15]t
software_root = %[16]s
`, o.Computer, l.Master, software, at(instancesDir), building, at(runDir), at(definition), at(state), o.Partitions, o.Base, l.Port, at("var/proxy.db"), o.IPv4, six, o.InstanceOnly, percent(o.Software), percent(cmp.Or(o.space[0], minFree)), percent(cmp.Or(o.space[1], minFree)))
}

// definition gives all partitions the same user, and their addresses.
func (o *Options) definition() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[computer]\naddress = %s/32\nsoftware_user = %s\n", o.IPv4.Addr(), o.User)
	for i := range o.Partitions {
		addresses := partitionAddress(o.IPv4, i).String() + "/32"
		if o.IPv6.IsValid() {
			addresses += " " + partitionAddress(o.IPv6, i).String() + "/128"
		}
		fmt.Fprintf(
			&b, "\n[partition_%d]\npathname = %s%d\naddress = %s\nuser = %s\nnetwork_interface = lo\n", i, o.Base, i,
			addresses, o.User,
		)
	}
	return b.String()
}

// node is the shell command of a node that makes the passes by itself.
func (o *Options) node() string {
	if o.InstanceOnly {
		return "node --instance-only"
	}
	return "node"
}

// script is a program that is hostler with these settings.
func (o *Options) script(l *Layout, words string) string {
	return fmt.Sprintf(
		"#!/bin/sh\nSLAPOS_CONFIGURATION=%[1]s\nSLAPOS_CLIENT_CONFIGURATION=%[1]s\nexport SLAPOS_CONFIGURATION SLAPOS_CLIENT_CONFIGURATION\nexec %[2]s %[3]s\n",
		quote(l.At(Config)), quote(o.Program), words,
	)
}

// quote quotes a text as one word for a shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
