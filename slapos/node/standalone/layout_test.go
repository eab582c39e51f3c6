package standalone_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/node/format"
	"github.com/hostler-project/hostler/slapos/node/standalone"
)

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// options are of a directory whose path is short, and odd.
func options(t *testing.T) *standalone.Options {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "h")
	do(t, err)
	t.Cleanup(func() { do(t, os.RemoveAll(dir)) })
	return &standalone.Options{
		Dir: filepath.Join(dir, "it's 100%"), Program: "/bin/echo", User: "me", Computer: "local", Partitions: 2,
		Base: "slappart", IPv4: netip.MustParsePrefix("127.0.0.1/32"), IPv6: netip.MustParsePrefix("::1/128"),
	}
}

func lay(t *testing.T, o *standalone.Options) *standalone.Layout {
	t.Helper()
	l, err := standalone.MakeLayout(o)
	do(t, err)
	return l
}

// TestLay writes settings that node, formatter and master read as they are meant, and keeps port,
// names and addresses.
func TestLay(t *testing.T) {
	o := options(t)
	l := lay(t, o)
	f, err := cfg.Read(l.At(standalone.Config))
	do(t, err)
	if unknown := f.Unknown(); len(unknown) > 0 {
		t.Errorf("unknown = %q; want len(unknown) <= 0", unknown)
	}
	n, err := f.Node()
	do(t, err)
	if missing := n.Missing(); missing != "" || n.InstanceRoot != l.At("inst") || n.SoftwareRoot != l.At("soft") ||
		n.Master != l.Master || n.RootCheck || !n.NoSupervisor || !slices.Equal(n.SharedParts, []string{l.At("shared")}) {
		t.Errorf("missing = %s, n = %+v", missing, n)
	}
	opt, err := format.ReadOptions(f)
	do(t, err)
	do(t, opt.Check())
	in, err := format.Input(f)
	do(t, err)
	d, err := format.ReadDefinition(in)
	do(t, err)
	if p := d.Partitions[1]; len(d.Partitions) != 2 || p.Path != "slappart1" || p.User != "me" ||
		len(p.Addresses) != 2 || p.Addresses[1].String() != "::1/128" {
		t.Errorf(
			"d = %+v"+
				`; want len(d.Partitions) == 2 and p.Path == "slappart1" and p.User == "me" and `+
				`len(p.Addresses) == 2 and p.Addresses[1].String() == "::1/128"`,
			d,
		)
	}
	out, err := exec.Command(l.At(standalone.Wrapper), "node", "a b").Output()
	do(t, err)
	if string(out) != "slapos node a b\n" {
		t.Errorf("out = %q; want string(out) == \"slapos node a b\\n\"", out)
	}
	if info, err := os.Stat(l.At("shared")); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("info = %v, err = %v; want no error and info.Mode().Perm() == 0o750", info, err)
	}
	env := l.Environ([]string{"PATH=/bin", "SLAPOS_CONFIGURATION=other", "A=b"})
	if !slices.Contains(env, "PATH="+l.At("bin")+":/bin") ||
		!slices.Contains(
			env, "SLAPOS_CONFIGURATION="+l.At(standalone.Config),
		) || slices.Contains(env, "SLAPOS_CONFIGURATION=other") || !slices.Contains(env, "A=b") {
		t.Errorf("env = %q", env)
	}

	again := &standalone.Options{Dir: o.Dir, Program: o.Program}
	l2 := lay(t, again)
	if l2.Port != l.Port || again.Partitions != 2 || again.Base != "slappart" || again.Computer != "local" ||
		again.IPv4 != o.IPv4 || again.IPv6 != o.IPv6 || again.NoIPv6 {
		t.Errorf("port %d, was %d, %+v", l2.Port, l.Port, again)
	}
	if _, err := standalone.MakeLayout(&standalone.Options{
		Dir: o.Dir, Program: o.Program, Computer: "else",
	}); !errors.Is(err, compute.ErrConflict) {
		t.Error(err)
	}

	before, err := os.ReadFile(l.At(standalone.Config))
	do(t, err)
	small := strings.Replace(string(before), "instance_min_free_space = 100M", "instance_min_free_space = 1M", 1)
	do(t, os.WriteFile(l.At(standalone.Config), []byte(small), 0o644))
	lay(t, &standalone.Options{Dir: o.Dir, Program: o.Program})
	if before, err = os.ReadFile(l.At(standalone.Config)); err != nil || string(before) != small {
		t.Errorf("what was written there is no more: %s, %v", before, err)
	}
	if _, err := standalone.MakeLayout(&standalone.Options{
		Dir: o.Dir, Program: o.Program, Software: o.Program + "/soft",
	}); !errors.Is(err, compute.ErrInvalid) {
		t.Error(err)
	}
	if after, err := os.ReadFile(l.At(standalone.Config)); err != nil || string(after) != string(before) {
		t.Errorf("what cannot be is in the settings: %s, %v", after, err)
	}

	// What is another thing now, and stays so.
	other := &standalone.Options{
		Dir: o.Dir, Program: o.Program, Partitions: 3, Base: "p", IPv4: netip.MustParsePrefix("127.0.1.254/16"),
		NoIPv6: true, Buildout: "/opt/100%/buildout", Software: "/srv/soft", InstanceOnly: true,
	}
	lay(t, other)
	again = &standalone.Options{Dir: o.Dir, Program: o.Program}
	lay(t, again)
	if again.Partitions != 3 || again.Base != "p" || again.IPv4 != other.IPv4 || again.IPv6.IsValid() ||
		!again.NoIPv6 || again.Buildout != other.Buildout || again.Software != "/srv/soft" || !again.InstanceOnly {
		t.Errorf("again = %+v", again)
	}
	d, err = format.ReadDefinition(in)
	do(t, err)
	for i, want := range []string{"127.0.1.254/32", "127.0.1.255/32", "127.0.2.0/32"} {
		if p := d.Partitions[i]; len(p.Addresses) != 1 || p.Addresses[0].String() != want {
			t.Errorf("%d: p = %+v; want len(p.Addresses) == 1 and p.Addresses[0].String() == want", i, p)
		}
	}
	f, err = cfg.Read(l.At(standalone.Config))
	do(t, err)
	if n, err := f.Node(); err != nil || n.SoftwareRoot != "/srv/soft" || len(n.SharedParts) > 0 {
		t.Errorf(`n = %+v, err = %v; want no error and n.SoftwareRoot == "/srv/soft" and len(n.SharedParts) <= 0`, n, err)
	}
	if out, err := exec.Command(l.At("bin/slapos-node-auto"), "x").Output(); err != nil || string(out) != "node --instance-only x\n" {
		t.Errorf("out = %q, err = %v; want no error and string(out) == \"node --instance-only x\\n\"", out, err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(l.Port))
	do(t, err)
	defer taken.Close()
	if _, err := standalone.MakeLayout(o); !errors.Is(err, compute.ErrConflict) || !strings.Contains(err.Error(), strconv.Itoa(l.Port)) {
		t.Error(err)
	}
}

// TestCheck refuses what cannot be, before anything is made.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		bad  func(o *standalone.Options)
		kind error
	}{
		"deep": {func(o *standalone.Options) {
			o.Dir = filepath.Join(o.Dir, strings.Repeat("d", 108-len(o.Dir)-len("//sv.sock.xxxxxxx")+1))
		}, standalone.ErrTooDeep},
		"lines":    {func(o *standalone.Options) { o.Dir += "\nx" }, compute.ErrInvalid},
		"none":     {func(o *standalone.Options) { o.Partitions = -1 }, compute.ErrInvalid},
		"base":     {func(o *standalone.Options) { o.Base = "../p" }, compute.ErrInvalid},
		"computer": {func(o *standalone.Options) { o.Computer = "a b" }, compute.ErrInvalid},
		"ipv4":     {func(o *standalone.Options) { o.IPv4 = o.IPv6 }, compute.ErrInvalid},
		"range":    {func(o *standalone.Options) { o.IPv4 = netip.MustParsePrefix("127.0.1.255/24") }, compute.ErrInvalid},
		"nowhere":  {func(o *standalone.Options) { o.InstanceOnly = true }, compute.ErrInvalid},
		"program":  {func(o *standalone.Options) { o.Software = "soft" }, compute.ErrInvalid},
		"ipv6":     {func(o *standalone.Options) { o.IPv6 = o.IPv4 }, compute.ErrInvalid},
		"other": {func(o *standalone.Options) {
			do(t, os.MkdirAll(o.Dir, 0o700))
			do(t, os.WriteFile(filepath.Join(o.Dir, "file"), nil, 0o600))
		}, compute.ErrConflict},
	} {
		o := options(t)
		c.bad(o)
		if _, err := standalone.MakeLayout(o); !errors.Is(err, c.kind) {
			t.Errorf("%s: err = %v; want error c.kind", name, err)
		}
		if _, err := os.Stat(filepath.Join(o.Dir, "etc")); err == nil {
			t.Errorf("%s: something is made", name)
		}
	}
	o := options(t)
	o.Dir = filepath.Join(o.Dir, strings.Repeat("d", 108-len(o.Dir)-len("//sv.sock.xxxxxxx")))
	lay(t, o)
}

// TestSurplus knows the partitions that are to be no more, and removes them with what is recorded.
func TestSurplus(t *testing.T) {
	o := options(t)
	o.Partitions = 3
	l := lay(t, o)
	for _, name := range []string{"slappart0", "slappart1", "slappart2", "slappart12", "slappartx", "var"} {
		do(t, os.MkdirAll(l.At("inst/"+name+"/ro"), 0o750))
	}
	do(t, os.Chmod(l.At("inst/slappart2/ro"), 0o500))
	do(t, os.WriteFile(l.At("inst/slappart0/.timestamp"), []byte("1"), 0o644))
	o.Partitions = 1
	l = lay(t, o)
	names, err := l.Surplus()
	do(t, err)
	if !slices.Equal(names, []string{"slappart1", "slappart12", "slappart2"}) {
		t.Errorf(`names = %q; want names == []string{"slappart1", "slappart12", "slappart2"}`, names)
	}
	do(t, l.Remove(names))
	names, err = l.Surplus()
	entries, _ := os.ReadDir(l.At("inst"))
	if err != nil || len(names) > 0 || len(entries) != 3 {
		t.Errorf(
			"names = %v, entries = %v, err = %v"+
				"; want no error and len(names) <= 0 and len(entries) == 3",
			names, entries, err,
		)
	}
	do(t, l.Forget())
	do(t, l.Forget())
	if _, err := os.Stat(l.At("inst/slappart0/.timestamp")); err == nil {
		t.Error("it is remembered")
	}
}
