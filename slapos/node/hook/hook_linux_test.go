package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/hook/forward"
	"github.com/hostler-project/hostler/slapos/node/runas"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto"
)

const somebody = 54325 // a user and a group that have no name

// TestMain is also the forwarder that supervisors start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "be-a-forwarder" {
		o, err := forward.Parse(os.Args[2:])
		if err == nil {
			err = forward.Run(context.Background(), o, nil)
		}
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// rig is a partition of somebody's, where we may make one, a supervisor, and hooks.
type rig struct {
	*testing.T
	*Hooks
	s    *supervise.Supervisor
	p    *proto.Partition
	dir  string
	said []string
}

func newRig(t *testing.T, names ...string) *rig {
	r := &rig{T: t, p: &proto.Partition{ID: "p0", State: proto.Started}}
	top := t.TempDir()
	r.do(os.Chmod(filepath.Dir(top), 0o755))
	r.dir = filepath.Join(top, "p0")
	r.do(os.Mkdir(r.dir, 0o750))
	if os.Getuid() == 0 {
		r.do(os.Chown(r.dir, somebody, somebody))
	}
	s, err := supervise.New(supervise.Options{Dir: filepath.Join(top, "state"), First: 20 * time.Millisecond, Last: 100 * time.Millisecond})
	r.do(err)
	r.s = s
	t.Cleanup(func() {
		_ = s.Stop(context.Background(), "all")
		_ = s.Close()
	})
	r.Hooks, err = New(Options{Names: names, Supervisor: s,
		Forwarder: []string{filepath.Join(top, "forwarder"), "be-a-forwarder"},
		Log:       func(line string) { r.said = append(r.said, line) }, User: func(d *home.Dir) (*runas.User, error) {
			if os.Getuid() != 0 {
				return nil, nil
			}
			uid, gid := d.Owner()
			return &runas.User{UID: uid, GID: gid}, nil
		}})
	r.do(err)
	return r
}

func (r *rig) do(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) file(name, text string, mode os.FileMode) {
	r.Helper()
	path := filepath.Join(r.dir, name)
	r.do(os.MkdirAll(filepath.Dir(path), 0o777))
	r.do(os.Chmod(filepath.Dir(path), 0o777))
	r.do(os.WriteFile(path, []byte(text), mode))
}

func (r *rig) text(name string) string {
	text, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (r *rig) root() {
	r.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("HOSTLER_REQUIRE_LAB") != "" {
			r.Fatal("only root can do this")
		}
		r.Skip("only root can do this")
	}
}

// until waits for something to be so.
func (r *rig) until(what string, so func() bool) {
	r.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.Fatal("it never was so: " + what)
		}
	}
}

func TestUnknownHook(t *testing.T) {
	if _, err := New(Options{Names: []string{prerm, "x"}}); !errors.Is(err, compute.ErrInvalid) {
		t.Error(err)
	}
}

// TestPrerm runs what is to run before destruction when it may be, once, and says for what
// destruction waits.
func TestPrerm(t *testing.T) {
	r := newRig(t, prerm)
	r.do(r.Report(t.Context(), r.p, r.dir))
	if _, err := os.Stat(filepath.Join(r.dir, waitFile)); err == nil {
		t.Error("destruction waits for nothing")
	}
	r.do(os.Chmod(r.dir, 0o777))
	r.file("etc/prerm/save", "#!/bin/sh\npwd >> ran; id -u >> ran; echo $SECRET >> ran; exec sleep 1000\n", 0o755)
	r.file("etc/prerm/notes", "text", 0o644)
	// no program can be called so, and nobody puts his destruction off by that
	r.file("etc/prerm/a:b", "#!/bin/sh\n", 0o755)
	r.file(waitFile, "p0:other\n", 0o666)
	t.Setenv("SECRET", "seen")
	until := time.Now().Add(time.Hour)
	r.o.Retention = func(*home.Dir) (time.Time, error) { return until, nil }
	r.do(r.Report(t.Context(), r.p, r.dir))
	if all, err := r.s.Groups(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("it runs while the partition is to be kept: %q, %v", all, err)
	}
	until = time.Time{}
	r.do(r.Report(t.Context(), r.p, r.dir))
	uid := fmt.Sprint(os.Getuid())
	if os.Getuid() == 0 {
		uid = fmt.Sprint(somebody)
	}
	want := r.dir + "\n" + uid + "\n\n"
	r.until("it ran", func() bool { return r.text("ran") == want })
	if got := r.text(waitFile); got != "p0:other\np0-prerm:save\n" {
		t.Errorf("got = %q; want got == \"p0:other\\np0-prerm:save\\n\"", got)
	}
	r.do(r.s.Stop(t.Context(), "p0-prerm"))
	r.do(r.Report(t.Context(), r.p, r.dir))
	if st, err := r.s.Status(t.Context(), "p0-prerm"); err != nil || len(st) != 1 || st[0].State == supervise.Running {
		t.Errorf("it runs again: %+v, %v", st, err)
	}
	if !slices.ContainsFunc(r.said, func(s string) bool { return strings.Contains(s, "notes is not run") }) {
		t.Errorf("r.said = %q", r.said)
	}
}

// echo answers with what it is told, and returns where.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// TestPortRedir has a port lead to a partition, as its user, also one that only root may have, and
// no longer when it is stopped.
func TestPortRedir(t *testing.T) {
	r := newRig(t, portRedir)
	r.do(r.Done(t.Context(), r.p, r.dir))
	program, err := os.ReadFile(os.Args[0]) // where it is, nobody else may run it
	r.do(err)
	r.do(os.WriteFile(r.o.Forwarder[0], program, 0o755))
	dest := echo(t)
	from := 81
	if os.Getuid() != 0 {
		from = 23481
	}
	r.file(redirectFile, fmt.Sprintf(`[{"type": "tcp", "srcPort": %d, "srcAddress": "127.88.3.9", "destPort": "%s", "destAddress": "127.0.0.1"},
		{"type": "tcp", "srcPort": "23482", "srcAddress": "127.88.3.9", "destPort": %s, "destAddress": "127.0.0.1"}]`, from, dest, dest), 0o644)
	r.do(r.Done(t.Context(), r.p, r.dir))
	for _, port := range []int{from, 23482} {
		r.until("it leads there", func() bool {
			c, err := net.Dial("tcp", fmt.Sprintf("127.88.3.9:%d", port))
			if err != nil {
				return false
			}
			defer c.Close()
			_, _ = c.Write([]byte("hello"))
			buf := make([]byte, 5)
			_, err = io.ReadFull(c, buf)
			return err == nil && string(buf) == "hello"
		})
	}
	st, err := r.s.Status(t.Context(), "p0-socat")
	r.do(err)
	var names []string
	for _, s := range st {
		names = append(names, s.FullName())
		if i, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID)); os.Getuid() == 0 &&
			(err != nil || !strings.Contains(string(i), fmt.Sprintf("\nUid:\t%d\t%[1]d\t%[1]d\t%[1]d\n", somebody))) {
			t.Errorf("%s is not the partition's user: %s, %v", s.FullName(), i, err)
		}
	}
	if want := []string{fmt.Sprintf("p0-socat:socat-tcp-%d", from), "p0-socat:socat-tcp-23482"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	r.p.State = proto.Stopped
	r.do(r.Done(t.Context(), r.p, r.dir))
	if all, err := r.s.Groups(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("still there: %q, %v", all, err)
	}
}

func TestPortRedirRefuses(t *testing.T) {
	r := newRig(t, portRedir)
	for text, want := range map[string]string{
		`{}`:                "no list",
		`[{"type": "tcp"}]`: "missing",
		`[{"type": "icmp", "srcPort": 1, "destPort": 1}]`:                                               "neither",
		`[{"type": "tcp", "srcPort": 70000, "destPort": 1}]`:                                            "65535",
		`[{"type": "tcp", "srcPort": 5, "destPort": 1}]`:                                                "no IPv6 address",
		`[{"type": "tcp", "srcPort": 5, "destPort": 1, "destAddress": "-x"}]`:                           "destAddress",
		`[{"type": "udp", "srcPort": 5, "destPort": 1, "srcAddress": "EXEC:sh", "destAddress": "::1"}]`: "srcAddress",
		`[` + strings.Repeat(
			`{"type": "tcp", "srcPort": 5, "destPort": 1, "destAddress": "::1"},`, 1,
		) + `{"type": "tcp", "srcPort": 5, "destPort": 2, "destAddress": "::1"}]`: "twice",
		`[` + strings.Repeat(`{},`, maxMany) + `{}]`: "may for 256",
	} {
		r.file(redirectFile, text, 0o644)
		if err := r.Done(t.Context(), r.p, r.dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: err = %v; want an error and err.Error() with want", text, err)
		}
	}
	if all, err := r.s.Groups(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("all = %q, err = %v; want no error and len(all) == 0", all, err)
	}
	r.p.Addresses = []proto.Address{{IP: "10.0.0.1"}, {IP: "2001:db8::1"}}
	o, err := (&redirection{Type: "udp", SrcPort: 53, DestPort: 5353}).options(r.p)
	if want := []string{"udp", "0.0.0.0:53", "[2001:db8::1]:5353"}; err != nil || !slices.Equal(o.Args(), want) {
		t.Errorf("o.Args() = %q, err = %v; want no error and o.Args() == want", o.Args(), err)
	}
}

// TestWhitelist limits where a user may send to, in a network of its own with the real firewall.
func TestWhitelist(t *testing.T) {
	r := newRig(t, whitelist)
	r.root()
	for _, program := range []string{"ip", "iptables", "iptables-restore", "setpriv"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("HOSTLER_REQUIRE_LAB") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	ns := fmt.Sprintf("hostler-hook-%d", os.Getpid())
	in := func(argv ...string) (string, error) {
		out, err := exec.Command("ip", append([]string{"netns", "exec", ns}, argv...)...).CombinedOutput()
		return string(out), err
	}
	must := func(argv ...string) string {
		t.Helper()
		out, err := in(argv...)
		if err != nil {
			t.Fatalf("argv = %v, out = %s, err = %v; want no error", argv, out, err)
		}
		return out
	}
	if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
		t.Fatalf("out = %s, err = %v; want no error", string(out), err)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
	must("ip", "link", "set", "lo", "up")
	must("ip", "addr", "add", "10.9.0.1/32", "dev", "lo")
	must("ip", "addr", "add", "10.9.0.2/32", "dev", "lo")
	r.o.Prefix = []string{"ip", "netns", "exec", ns}
	send := func(uid int, address string) {
		// nobody listens there
		_, _ = in("setpriv", "--reuid", fmt.Sprint(uid), "--clear-groups", "/bin/bash", "-c", ": < /dev/tcp/"+address+"/9")
	}
	counted := func() string { return must("iptables", "-L", "p0-whitelist", "-v", "-n", "-x") }
	r.file(whitelistFile, `["10.9.0.1", "10.9.1.7/24", "10.9.0.1"]`, 0o644)
	r.do(r.Done(t.Context(), r.p, r.dir))
	was := must("iptables", "-S")
	for _, want := range []string{
		"-A OUTPUT -m owner --uid-owner 54325 -j p0-whitelist",
		"-A p0-whitelist -d 10.9.0.1/32 -j ACCEPT\n-A p0-whitelist -d 10.9.1.0/24 -j ACCEPT\n-A p0-whitelist -j REJECT",
	} {
		if !strings.Contains(was, want) {
			t.Errorf("no %s in\n%s", want, was)
		}
	}
	send(somebody, "10.9.0.2")
	if rules := counted(); !rejected(rules) {
		t.Errorf("nothing was rejected: %s", rules)
	}
	must("iptables", "-Z")
	send(somebody, "10.9.0.1")
	send(somebody+1, "10.9.0.2")
	if rules := counted(); rejected(rules) {
		t.Errorf("what may be sent was rejected: %s", rules)
	}
	said := len(r.said)
	r.do(r.Done(t.Context(), r.p, r.dir))
	if must("iptables", "-S") != was || len(r.said) != said {
		t.Errorf("it is not the same when done again: %s, %q", must("iptables", "-S"), r.said)
	}
	if len(r.text(whitelistSum)) != 32 {
		t.Errorf("r.text(whitelistSum) = %q; want len(r.text(whitelistSum)) == 32", r.text(whitelistSum))
	}
	must("iptables", "-D", "OUTPUT", "1") // as after a reboot
	r.do(r.Done(t.Context(), r.p, r.dir))
	if got := must("iptables", "-S"); got != was {
		t.Errorf("what was lost is not there again: %s", got)
	}
	r.file(whitelistFile, `["10.9.0.2"]`, 0o644)
	r.do(r.Done(t.Context(), r.p, r.dir))
	if got := must("iptables", "-S"); strings.Contains(got, "10.9.0.1/") || !strings.Contains(got, "10.9.0.2/") ||
		strings.Count(got, "OUTPUT -m owner") != 1 {
		t.Errorf(
			"got = %s"+
				`; want got without "10.9.0.1/" and got with "10.9.0.2/" and strings.Count(got, "OUTPUT -m `+
				`owner") == 1`,
			got,
		)
	}
	for _, text := range []string{`["2001:db8::1"]`, `["10.0.0.1 -j ACCEPT"]`, `["x\nCOMMIT"]`} {
		r.file(whitelistFile, text, 0o644)
		if err := r.Done(t.Context(), r.p, r.dir); err == nil || !strings.Contains(err.Error(), "is no IPv4 address") {
			t.Errorf(`%s: err = %v; want an error and err.Error() with "is no IPv4 address"`, text, err)
		}
	}
	r.do(os.Remove(filepath.Join(r.dir, whitelistFile)))
	r.do(r.Done(t.Context(), r.p, r.dir))
	if got := must("iptables", "-S"); strings.Contains(got, "p0") {
		t.Errorf("something is left: %s", got)
	}
	if _, err := os.Stat(filepath.Join(r.dir, whitelistSum)); err == nil {
		t.Error("the sum is left")
	}
	r.file(whitelistFile, `["10.9.0.2"]`, 0o644)
	r.do(r.Done(t.Context(), r.p, r.dir))
	r.do(errors.Join(os.Remove(filepath.Join(r.dir, whitelistFile)), os.Remove(filepath.Join(r.dir, whitelistSum))))
	r.do(r.Report(t.Context(), r.p, r.dir))
	if got := must("iptables", "-S"); strings.Contains(got, "p0") {
		t.Errorf("the next instance is limited: %s", got)
	}
}

// rejected reports whether a chain's last rule was met by something.
func rejected(rules string) bool {
	for line := range strings.Lines(rules) {
		if words := strings.Fields(line); len(words) > 3 && slices.Contains(words, "REJECT") {
			return words[0] != "0"
		}
	}
	return false
}

// TestDevices gives a disk that nothing uses, and takes it back.
func TestDevices(t *testing.T) {
	r := newRig(t, devPerm)
	r.root()
	image := filepath.Join(t.TempDir(), "image")
	r.do(os.WriteFile(image, make([]byte, 1<<20), 0o600))
	out, err := exec.Command("losetup", "--find", "--show", image).Output()
	if err != nil {
		t.Skip("there is no loop device to be had: ", err)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		_ = os.Chown(dev, 0, diskGroup())
		_ = exec.Command("losetup", "-d", dev).Run()
	})
	whose := func() uint32 {
		var st unix.Stat_t
		r.do(unix.Stat(dev, &st))
		return st.Uid
	}
	r.file(diskFile, fmt.Sprintf(`[{"disk": %q}]`, dev), 0o644)
	r.o.Setting = func(hook, key string) ([]string, error) { return []string{"/dev/none"}, nil }
	if err := r.Done(t.Context(), r.p, r.dir); err == nil || !strings.Contains(err.Error(), "allowed-disk-for-vm") || whose() != 0 {
		t.Errorf(
			"err = %v, whose() = %v"+
				`; want an error and err.Error() with "allowed-disk-for-vm" and whose() == 0`,
			err, whose(),
		)
	}
	r.o.Setting = func(hook, key string) ([]string, error) { return []string{dev}, nil }
	for range 2 {
		r.do(r.Done(t.Context(), r.p, r.dir))
		if whose() != somebody {
			t.Errorf("it is user %d's", whose())
		}
	}
	r.do(os.Remove(filepath.Join(r.dir, diskFile)))
	r.do(r.Done(t.Context(), r.p, r.dir))
	if whose() != 0 {
		t.Errorf("it is still user %d's", whose())
	}
	hold, err := unix.Open(dev, unix.O_RDONLY|unix.O_EXCL, 0) // as a mount does
	r.do(err)
	r.file(diskFile, fmt.Sprintf(`[{"disk": %q}]`, dev), 0o644)
	if err := r.Done(t.Context(), r.p, r.dir); err == nil || !strings.Contains(err.Error(), "is used by this machine") || whose() != 0 {
		t.Errorf(
			"err = %v, whose() = %v"+
				`; want an error and err.Error() with "is used by this machine" and whose() == 0`,
			err, whose(),
		)
	}
	_ = unix.Close(hold)
	r.do(r.Done(t.Context(), r.p, r.dir))
	r.do(r.Report(t.Context(), r.p, r.dir))
	if whose() != 0 {
		t.Errorf("it is user %d's after the end", whose())
	}
}

// TestDevicesRefuses gives away no other files.
func TestDevicesRefuses(t *testing.T) {
	r := newRig(t, devPerm)
	r.root()
	link := fmt.Sprintf("/dev/shm/hostler-hook-%d", os.Getpid())
	r.do(os.Symlink("/etc/hostname", link))
	r.Cleanup(func() { _ = os.Remove(link) })
	for _, path := range []string{"/etc/passwd", "/dev/null", "/dev/../etc/passwd", "dev/null", "/dev/none", link, "/dev/shm", "", "/dev"} {
		r.file(diskFile, fmt.Sprintf(`[{"disk": %q}]`, path), 0o644)
		if err := r.Done(t.Context(), r.p, r.dir); err == nil {
			t.Errorf("%s was given", path)
		}
	}
}

func TestCores(t *testing.T) {
	if got, err := parseCores("0-2,5"); err != nil || !slices.Equal(got, []int{0, 1, 2, 5}) {
		t.Errorf("got = %v, err = %v; want no error and got == []int{0, 1, 2, 5}", got, err)
	}
	for _, text := range []string{"", "a", "3-1", "1-", "0-99999999"} {
		if got, err := parseCores(text); err == nil {
			t.Errorf("%q: got = %v; want an error", text, got)
		}
	}
}

// TestCPUSet refuses who may not have a core.
func TestCPUSet(t *testing.T) {
	r := newRig(t, cpuSet)
	r.root()
	r.do(r.Done(t.Context(), r.p, r.dir))
	r.file(coreFile, "1", 0o644)
	if err := r.Done(t.Context(), r.p, r.dir); err == nil || !strings.Contains(err.Error(), "power_user_list does not have 54325") {
		t.Error(err)
	}
}
