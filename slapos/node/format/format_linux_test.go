package format_test

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/node/format"
)

// TestMain runs this program again with a network and an /etc of its own, so that "this machine" is
// one made for the tests: its users, interfaces and addresses are nobody else's.
func TestMain(m *testing.M) {
	if os.Getenv("HOSTLER_FORMAT_TEST") != "" {
		if err := furnish(); err != nil {
			fmt.Fprintln(os.Stderr, "no machine for the tests:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	if os.Geteuid() != 0 {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), "HOSTLER_FORMAT_TEST=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// furnish copies /etc to memory and puts it in the place of the machine's, and makes the interface
// lab0.
func furnish() error {
	dir, err := os.MkdirTemp("", "hostler-format-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		return err
	}
	if out, err := exec.Command("cp", "-a", "/etc", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := errors.Join(unix.Mount(dir+"/etc", "/etc", "", unix.MS_BIND, ""), unix.Unmount(dir, unix.MNT_DETACH)); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	lab := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "lab0"}, PeerName: "lab9"}
	if err := errors.Join(netlink.LinkSetUp(lo), netlink.LinkAdd(lab)); err != nil {
		return err
	}
	peer, err := netlink.LinkByName("lab9")
	if err != nil {
		return err
	}
	// an address that is tried for a second would change the machine meanwhile
	for _, name := range []string{"lab0", "lab9"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/accept_dad", []byte("0"), 0); err != nil {
			return err
		}
	}
	if err := errors.Join(netlink.LinkSetUp(lab), netlink.LinkSetUp(peer)); err != nil {
		return err
	}
	return address("lab0", "2001:db8:77::1/64")
}

func address(link, text string) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(text)
	if err != nil {
		return err
	}
	return netlink.AddrAdd(l, a)
}

func needRoot(t testing.TB) {
	if os.Geteuid() != 0 {
		if os.Getenv("HOSTLER_REQUIRE_LAB") == "1" {
			t.Fatal("users and interfaces are made by root, and this is not")
		}
		t.Skip("users and interfaces are made by root, and this is not")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("there is no /dev/net/tun: ", err)
	}
}

// computer is a node's slapos.cfg below a directory of the test's, whose names begin as no others
// do.
func computer(t testing.TB, base string, partitions int, more string) *format.Formatter {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		links, _ := netlink.LinkList()
		for _, l := range links {
			if name := l.Attrs().Name; os.Geteuid() == 0 && (strings.HasPrefix(name, base+"t") || strings.HasPrefix(name, "slaptun")) {
				_ = netlink.LinkDel(l)
			}
		}
	})
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := cfg.Parse("slapos.cfg", []byte(fmt.Sprintf(`[slapos]
computer_id = COMP-T
instance_root = %[1]s/inst
software_root = %[1]s/soft
[slapformat]
computer_xml = %[1]s/var/slapos.xml
computer_json = %[1]s/var/slapos.json
partition_amount = %[2]d
partition_base_name = part
user_base_name = %[3]su
tap_base_name = %[3]st
software_user = %[3]ssoft
interface_name = lab0
ipv4_local_network = 10.77.0.0/16
%[4]s
`, dir, partitions, base, more)))
	if err != nil {
		t.Fatal(err)
	}
	o, err := format.ReadOptions(f)
	if err != nil {
		t.Fatal(err)
	}
	return &format.Formatter{Options: *o}
}

// run formats and returns what was said.
func run(t testing.TB, f *format.Formatter) (*format.Computer, []string) {
	t.Helper()
	var said []string
	f.Say = func(s string) { said = append(said, s) }
	c, err := f.Run(t.Context())
	if err != nil {
		t.Fatalf("%v, after\n%s", err, strings.Join(said, "\n"))
	}
	return c, said
}

// world is all that formatting could change.
func world(t testing.TB, f *format.Formatter) string {
	t.Helper()
	var b strings.Builder
	for _, args := range [][]string{{"ip", "-o", "address"}, {"ip", "-o", "link"},
		{"ip", "-6", "route", "show", "table", "all"}, {"ip", "route"},
		{"cat", "/etc/passwd", "/etc/group", "/etc/shadow"},
		{"find", filepath.Dir(f.InstanceRoot), "-printf", "%p %M %u %g %s\n"}, {"cat", "/proc/sys/net/ipv6/ip_nonlocal_bind"}} {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: err = %v: out = %s; want no error", args, err, out)
		}
		b.Write(out)
	}
	return b.String()
}

// A bare machine becomes a computer; again it is one and nothing is done; a partition more leaves
// the others as they were; and what was damaged is mended.
func TestFormat(t *testing.T) {
	needRoot(t)
	f := computer(t, "life", 2, "create_tun = True\nmemory_max = 512M\n")
	before := world(t, f)
	f.Dry = true
	run(t, f)
	if after := world(t, f); after != before {
		t.Errorf("a dry run changed the machine:\n%s\nit was:\n%s", after, before)
	}
	f.Dry = false
	f.Random = func(n int) int { return n / 2 }
	_, dry := run(t, &format.Formatter{Options: f.Options, Dry: true, Random: f.Random})
	c, said := run(t, f)
	if !slices.Equal(said, dry) {
		t.Errorf("done:\n%s\nthe dry run said:\n%s", strings.Join(said, "\n"), strings.Join(dry, "\n"))
	}
	look(t, f, c)
	again, said := run(t, f)
	if len(said) > 0 || !reflect.DeepEqual(again.Dictionary(), c.Dictionary()) {
		t.Errorf("again did %q, and described %v\nit was %v", said, again.Dictionary(), c.Dictionary())
	}

	f.Partitions = 3
	more, said := run(t, f)
	for _, s := range said {
		if strings.Contains(s, "lifeu0") || strings.Contains(s, "lifeu1") {
			t.Errorf("a partition more did %q", s)
		}
	}
	if !reflect.DeepEqual(more.Partitions[0].Addresses, c.Partitions[0].Addresses) {
		t.Errorf("the first has the addresses %v, and had %v", more.Partitions[0].Addresses, c.Partitions[0].Addresses)
	}
	z, err := zip.OpenReader(f.State + ".zip")
	if err != nil || len(z.File) != 1 {
		t.Fatalf("the archive of older states: %v, %v", z, err)
	}
	z.Close()
	f.Partitions = 2
	if _, err := f.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "none is taken away") {
		t.Errorf("with fewer partitions: %v", err)
	}
	f.Partitions = 3

	victim := filepath.Join(t.TempDir(), "victim")
	part := more.Partitions[0]
	tap, err := netlink.LinkByName("lifet1")
	for _, err := range []error{err, os.WriteFile(victim, []byte("kept"), 0o600),
		os.Remove(part.Path + "/.slapos-resource"), os.Symlink(victim, part.Path+"/.slapos-resource"),
		os.Chmod(part.Path, 0o777),
		netlink.LinkDel(tap),
		exec.Command("ip", "address", "delete", part.Addresses[1].IP.String()+"/64", "dev", "lab0").Run(),
		exec.Command("usermod", "-s", "/bin/bash", "lifeu2").Run(),
		exec.Command("sh", "-c", "echo lifeu2:secret | chpasswd").Run()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	mended, said := run(t, f)
	if len(said) != 10 || !reflect.DeepEqual(mended.Dictionary(), more.Dictionary()) {
		t.Errorf("what was mended:\n%s", strings.Join(said, "\n"))
	}
	if text, err := os.ReadFile(victim); string(text) != "kept" {
		t.Errorf("what a partition's link names is %q, %v", text, err)
	}
	look(t, f, mended)
}

// look sees that a computer is as it is described.
func look(t *testing.T, f *format.Formatter, c *format.Computer) {
	t.Helper()
	soft := who(t, f.SoftwareUser)
	owned(t, f.InstanceRoot, 0, 0o755)
	owned(t, f.SoftwareRoot, soft.uid, 0o755)
	var described struct {
		Partitions []map[string]any `json:"partition_list"`
	}
	text, err := os.ReadFile(f.JSON)
	if err := errors.Join(err, json.Unmarshal(text, &described)); err != nil {
		t.Fatal(err)
	}
	for i, p := range c.Partitions {
		u := who(t, f.UserBase+strconv.Itoa(i))
		if u.home != p.Path || u.shell != "/bin/sh" || !strings.HasPrefix(u.secret, "!") ||
			!slices.Contains(u.groups, f.SoftwareUser) || u.uid >= 1000 {
			t.Errorf("user %d is %+v", i, u)
		}
		owned(t, p.Path, u.uid, 0o750)
		for _, a := range p.Addresses {
			if out, _ := exec.Command("ip", "-o", "address", "show", "dev", "lab0", "to", a.IP.String()).Output(); len(out) == 0 {
				t.Errorf("partition %d has no address %s", i, a.IP)
			}
		}
		tap, err := netlink.LinkByName(f.TapBase + strconv.Itoa(i))
		if tun, ok := tap.(*netlink.Tuntap); err != nil || !ok || tun.Mode != netlink.TUNTAP_MODE_TAP ||
			int(tun.Owner) != u.uid || tap.Attrs().RawFlags&unix.IFF_UP == 0 {
			t.Errorf("the tap of partition %d is %+v, %v", i, tap, err)
		}
		// A program may take any address of the partition's range.
		s, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)
		if err == nil {
			err = unix.Bind(s, &unix.SockaddrInet6{Addr: p.Range.Addr().Next().Next().As16()})
			unix.Close(s)
		}
		if err != nil {
			t.Errorf("an address of the range %s: %v", p.Range, err)
		}
		var told map[string]any
		text, err := os.ReadFile(p.Path + "/.slapos-resource")
		if err := errors.Join(err, json.Unmarshal(text, &told)); err != nil || !reflect.DeepEqual(told, described.Partitions[i]) {
			t.Errorf("partition %d is told %v, %v", i, told, err)
		}
		owned(t, p.Path+"/.slapos-resource", 0, 0o644)
	}
	was, err := format.ReadState(f.State)
	if err != nil || len(was.Partitions) != len(c.Partitions) ||
		!reflect.DeepEqual(was.Partitions[0].Addresses, c.Partitions[0].Addresses) || was.Partitions[0].Limits.Memory != 512<<20 {
		t.Errorf("the state file has %+v, %v", was, err)
	}
}

func owned(t *testing.T, path string, uid int, mode os.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Error(err)
		return
	}
	if st := info.Sys().(*syscall.Stat_t); int(st.Uid) != uid || info.Mode().Perm() != mode {
		t.Errorf("%s belongs to %d with mode %o, want %d and %o", path, st.Uid, info.Mode().Perm(), uid, mode)
	}
}

type somebody struct {
	uid                 int
	home, shell, secret string
	groups              []string
}

// who asks the machine's own programs.
func who(t *testing.T, name string) somebody {
	t.Helper()
	entry, err := exec.Command("getent", "passwd", name).Output()
	f := strings.Split(strings.TrimSpace(string(entry)), ":")
	if err != nil || len(f) != 7 {
		t.Fatalf("there is no user %s: %v", name, err)
	}
	uid, _ := strconv.Atoi(f[2])
	shadow, _ := exec.Command("getent", "shadow", name).Output()
	groups, _ := exec.Command("id", "-nG", name).Output()
	return somebody{uid, f[5], f[6], strings.Split(string(shadow)+":", ":")[1], strings.Fields(string(groups))}
}

// A run that is ended after any step is taken up by the next, with the addresses that the first
// chose.
func TestFormatTakenUp(t *testing.T) {
	needRoot(t)
	f := computer(t, "cut", 1, "")
	var first *format.Computer
	for n := 0; ; n++ {
		if n > 60 {
			t.Fatal("it comes to no end")
		}
		ctx, cancel := context.WithCancel(t.Context())
		taken := 0
		// the first step is taken, and not every one is kept from being so afterwards
		f.Say = func(string) {
			if taken++; taken > 1 {
				cancel()
			}
		}
		c, err := f.Run(ctx)
		cancel()
		if was, _ := format.ReadState(f.State); first == nil {
			first = was
		} else if !reflect.DeepEqual(was.Partitions[0].Addresses, first.Partitions[0].Addresses) {
			t.Fatalf("after %d steps the addresses are %v, and were %v", n, was.Partitions[0].Addresses, first.Partitions[0].Addresses)
		}
		if err == nil {
			if n < 10 || c == nil {
				t.Errorf("it was done in %d steps", n)
			}
			return
		}
		if !errors.Is(err, context.Canceled) {
			t.Logf("step %d: %v", n, err) // a program that was ended
		}
	}
}

// An address that another machine on the link has is found out, and another taken.
func TestFormatDuplicate(t *testing.T) {
	needRoot(t)
	// the other machine: a network of its own, and no program that matters
	far := exec.Command("sleep", "600")
	far.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := far.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Process.Kill(); _ = far.Wait() })
	pid := strconv.Itoa(far.Process.Pid)
	for _, args := range []string{"ip link add lab1 type veth peer name far1 netns " + pid,
		"nsenter -t " + pid + " -n sysctl -qw net.ipv6.conf.far1.accept_dad=0",
		"nsenter -t " + pid + " -n ip link set far1 up",
		"nsenter -t " + pid + " -n ip address add 2001:db8:78::3/64 dev far1",
		"sysctl -qw net.ipv6.neigh.lab1.retrans_time_ms=100", "ip link set lab1 up",
		"ip address add 2001:db8:78::1/64 dev lab1"} {
		argv := strings.Fields(args)
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: err = %v: out = %s; want no error", args, err, out)
		}
	}
	f := computer(t, "dup", 3, "create_tap = False\nipv6_interface = lab1\n")
	c, said := run(t, f)
	taken := netip.MustParseAddr("2001:db8:78::3")
	if got := c.Partitions[1].Addresses[1].IP; got == taken {
		t.Errorf("partition 1 has the other machine's address, after\n%s", strings.Join(said, "\n"))
	}
	if got := c.Partitions[2].Addresses[1].IP; got != netip.MustParseAddr("2001:db8:78::4") {
		t.Errorf("partition 2 has %s", got)
	}
	if _, said := run(t, f); len(said) > 0 {
		t.Errorf("again did %q", said)
	}
}

// Without the privilege to make users and interfaces, directories and the description are made, by
// a definition.
func TestFormatOrdinary(t *testing.T) {
	if os.Getenv("HOSTLER_FORMAT_ORDINARY") == "" && os.Geteuid() == 0 {
		dir, err := os.MkdirTemp("", "hostler-format-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		self, err := os.ReadFile("/proc/self/exe")
		if err := errors.Join(err, os.WriteFile(dir+"/test", self, 0o755), os.Chmod(dir, 0o777)); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(dir+"/test", "-test.run=^TestFormatOrdinary$", "-test.v")
		cmd.Dir, cmd.Env = dir, []string{"HOSTLER_FORMAT_ORDINARY=1", "TMPDIR=" + dir, "PATH=" + os.Getenv("PATH")}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestFormatOrdinary") {
			t.Errorf(`%v: out = %s; want no error and string(out) with "--- PASS: TestFormatOrdinary"`, err, out)
		}
		return
	}
	f := computer(
		t, "plain", 2,
		"alter_user = False\nalter_network = false\ncreate_tap = False\noutput_definition_file = "+filepath.Join(t.TempDir(), "out.cfg"),
	)
	f.Interface = ""
	def := filepath.Join(t.TempDir(), "definition.cfg")
	if err := os.WriteFile(def, []byte(`[computer]
address = 127.0.0.1/255.0.0.0
[partition_0]
address = 127.0.0.1/8 ::1/128
user = nobody
network_interface = lo
pathname = first
capability_list =
  fast
  big
cpu_max = 0.5
[partition_1]
address = 127.0.0.2/32
ipv6_range = 2001:db8::/80
pids_max = 100
[another]
x = y
`), 0o644); err != nil {
		t.Fatal(err)
	}
	var err error
	if f.Definition, err = format.ReadDefinition(def); err != nil {
		t.Fatal(err)
	}
	c, _ := run(t, f)
	first, second := c.Partitions[0], c.Partitions[1]
	if first.Reference != "first" || first.User.Name != "nobody" || first.Tap.Name != "lo" ||
		len(first.Addresses) != 2 || first.Addresses[0].Netmask != "255.0.0.0" || !slices.Equal(
		first.Capabilities, []string{"fast", "big"},
	) ||
		first.Limits.CPU != 0.5 || second.Reference != "part1" || second.Range.String() != "2001:db8::/80" || second.Limits.PIDs != 100 || c.Address.String() != "127.0.0.1/8" {
		t.Errorf("c = %+v", c)
	}
	owned(t, first.Path, os.Geteuid(), 0o750)
	out, err := format.ReadDefinition(f.DefinitionOut)
	if err != nil {
		t.Fatal(err)
	}
	f.Definition = out
	if same, said := run(t, f); len(said) > 0 || !reflect.DeepEqual(same.Dictionary(), c.Dictionary()) {
		t.Errorf("by the definition that was written, %q was done, and described %v", said, same.Dictionary())
	}
}

// A hundred partitions of a bare machine.
func BenchmarkFormat100(b *testing.B) {
	needRoot(b)
	for i := 0; b.Loop(); i++ {
		f := computer(b, "b"+strconv.Itoa(i), 100, "")
		if _, err := f.Run(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		again, err := f.Run(b.Context())
		if err != nil || len(again.Partitions) != 100 {
			b.Fatal(err)
		}
		for _, p := range again.Partitions { // for the next, which has the same addresses
			for _, a := range p.Addresses {
				_ = exec.Command("ip", "address", "delete", a.IP.String(), "dev", "lab0").Run()
			}
			_ = exec.Command("ip", "link", "delete", p.Tap.Name).Run()
		}
		b.StartTimer()
	}
}
