package standalone

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/node/format"
	"github.com/hostler-project/hostler/slap/cfg"
)

// The names below the directory (SlapOS: slap.standalone).
const (
	Config     = "etc/slapos.cfg"
	definition = "etc/slapformat-definition.cfg"
	state      = "etc/slapos.xml"
	Logs       = "var/log"
	Run        = "var/run"
	Instances  = "inst"
	Wrapper    = "bin/slapos"
	auto       = "bin/slapos-node-auto"
)

// longest is how many characters the path of a socket in the directory may have, and socket is as long as one of them there (SlapOS: sv.sock.xxxxxxx).
const (
	longest = 108
	socket  = "/sv.sock.xxxxxxx"
)

// Options say what is laid out.
type Options struct {
	Dir        string // an absolute path
	Program    string // hostler's, absolute
	User       string // the name of whose it is
	Computer   string // ID
	Partitions int
	Base       string     // partitions are called so, with a number
	IPv4, IPv6 netip.Addr // of every partition; an invalid one they have not
}

// Layout is what was laid out.
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

// The options that a layout of before has words for, by the names of [Options.Keep].
const (
	KeepPartitions = "partitions"
	KeepBase       = "base-name"
	KeepComputer   = "computer-id"
	KeepAddresses  = "addresses"
)

// Keep has what is not said now be what it was when the directory was laid out before. A computer is called so for good: another name for it is ErrConflict.
func (o *Options) Keep(said func(name string) bool) error {
	was, err := cfg.Read(filepath.Join(o.Dir, Config))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	fail := func(err error) error {
		return &compute.Error{Op: "standalone", Kind: compute.ErrInvalid, Err: err, Hint: "without the file it is written anew, for another port"}
	}
	if err != nil {
		return fail(err)
	}
	text := func(f *cfg.File, section, key string) (text string) {
		if err == nil {
			text, err = f.Text(section, key)
		}
		return strings.TrimSpace(text)
	}
	amount, base, computer := text(was, "slapformat", "partition_amount"), text(was, "slapformat", "partition_base_name"), text(was, "slapos", "computer_id")
	if err != nil {
		return fail(err)
	}
	if n, bad := strconv.Atoi(amount); bad == nil && !said(KeepPartitions) {
		o.Partitions = n
	}
	if base != "" && !said(KeepBase) {
		o.Base = base
	}
	if computer != "" && !said(KeepComputer) {
		o.Computer = computer
	} else if computer != "" && computer != o.Computer {
		return &compute.Error{Op: "standalone", Kind: compute.ErrConflict, Err: fmt.Errorf("the computer in %s is called %s, and its master knows it so", o.Dir, computer), Hint: "another directory can have another one"}
	}
	d, err := format.ReadDefinition(filepath.Join(o.Dir, definition))
	if errors.Is(err, fs.ErrNotExist) || err == nil && said(KeepAddresses) {
		return nil
	} else if err != nil {
		return fail(err)
	}
	if all := d.Partitions[0].Addresses; len(all) > 0 {
		o.IPv4, o.IPv6 = all[0].Addr(), netip.Addr{}
		if len(all) > 1 {
			o.IPv6 = all[1].Addr()
		}
	}
	return nil
}

// Check says whether a directory can have what is to be laid out in it: ErrInvalid, or ErrConflict where it has something else.
func (o *Options) Check() error {
	fail := func(kind error, hint, format string, args ...any) error {
		return &compute.Error{Op: "standalone", Kind: kind, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	switch {
	case !filepath.IsAbs(o.Dir) || strings.ContainsAny(o.Dir, "\n\r:"):
		return fail(compute.ErrInvalid, "", "%q is no directory that can be named in settings and in PATH", o.Dir)
	case len(o.Dir)+len(socket) > longest:
		return fail(compute.ErrInvalid, "take a directory with a shorter path", "%s is too deep: a socket there would have a path of %d characters, and %d is the most", o.Dir, len(o.Dir)+len(socket), longest)
	case o.Partitions < 1 || o.Partitions > 1000:
		return fail(compute.ErrInvalid, "", "%d partitions: from 1 to 1000", o.Partitions)
	case !plain(o.Base) || o.Base[0] >= '0' && o.Base[0] <= '9':
		return fail(compute.ErrInvalid, "", "%q is no name for partitions: letters, digits, - and _", o.Base)
	case !plain(o.Computer):
		return fail(compute.ErrInvalid, "", "%q is no name for a computer: letters, digits, - and _", o.Computer)
	case !o.IPv4.Is4():
		return fail(compute.ErrInvalid, "", "the partitions' first address is one of IPv4, and %s is not", o.IPv4)
	case o.IPv6.IsValid() && (!o.IPv6.Is6() || o.IPv6.Is4In6()):
		return fail(compute.ErrInvalid, "", "the partitions' second address is one of IPv6, and %s is not", o.IPv6)
	}
	entries, err := os.ReadDir(o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fail(compute.ErrInvalid, "", "%w", err)
	}
	begun := len(entries) == 0 || len(entries) == 1 && entries[0].Name() == "var" // who lays it out was killed before there was more
	if _, err := os.Lstat(filepath.Join(o.Dir, definition)); err != nil && !begun {
		return fail(compute.ErrConflict, "name one that is empty, or not there", "%s has something in it, and that is no SlapOS of this kind", o.Dir)
	}
	return nil
}

func plain(name string) bool {
	return name != "" && name[0] != '-' && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// Lay makes what is missing, and writes the settings and programs anew. The port of the master is the one that it had, or one that is free now.
func Lay(o *Options) (*Layout, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	fail := func(err error) (*Layout, error) {
		return nil, &compute.Error{Op: "standalone", Kind: compute.ErrFailed, Err: err}
	}
	for _, dir := range []string{"", "etc", "bin", "soft", Instances, "shared", "var", Logs, Run} {
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
	if err := free(l.Port); err != nil {
		return nil, &compute.Error{Op: "standalone", Kind: compute.ErrConflict, Err: fmt.Errorf("the master's port %d is somebody else's now: %w", l.Port, err), Hint: "end what listens there, or remove the line port from " + l.At(Config)}
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
		{auto, o.script(l, `node "$@"`), 0o755},
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

// ending is how long a master of before, whose owner was killed, may take to end.
const ending = 2 * time.Second

// free says whether nobody listens at a port: who did would be taken for our master.
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

// config are the settings of master, node and client, who have one file.
func (o *Options) config(l *Layout) string {
	at := func(name string) string { return strings.ReplaceAll(l.At(name), "%", "%%") }
	return fmt.Sprintf(`# Written anew by hostler slapos standalone whenever it starts; the port stays.
[slapos]
computer_id = %[1]s
master_url = %[2]s
master_rest_url = %[2]s/hateoas
software_root = %[3]s
instance_root = %[4]s
shared_part_list =
  %[5]s
root_check = False
forbid_supervisord_automatic_launch = true
software_min_free_space = 100M
instance_min_free_space = 100M
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
`, o.Computer, l.Master, at("soft"), at(Instances), at("shared"), at(Run), at(definition), at(state), o.Partitions, o.Base, l.Port, at("var/proxy.db"))
}

// definition gives all partitions the same addresses and the same user.
func (o *Options) definition() string {
	var b strings.Builder
	addresses := o.IPv4.String() + "/32"
	if o.IPv6.IsValid() {
		addresses += " " + o.IPv6.String() + "/128"
	}
	fmt.Fprintf(&b, "[computer]\naddress = %s/32\nsoftware_user = %s\n", o.IPv4, o.User)
	for i := range o.Partitions {
		fmt.Fprintf(&b, "\n[partition_%d]\npathname = %s%d\naddress = %s\nuser = %s\nnetwork_interface = lo\n", i, o.Base, i, addresses, o.User)
	}
	return b.String()
}

// script is a program that is hostler with these settings.
func (o *Options) script(l *Layout, words string) string {
	return fmt.Sprintf("#!/bin/sh\nSLAPOS_CONFIGURATION=%[1]s\nSLAPOS_CLIENT_CONFIGURATION=%[1]s\nexport SLAPOS_CONFIGURATION SLAPOS_CLIENT_CONFIGURATION\nexec %[2]s %[3]s\n", quote(l.At(Config)), quote(o.Program), words)
}

// quote has a text be one word of a shell's.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
