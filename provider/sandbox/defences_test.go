//go:build linux

package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/cgroup"
	"github.com/hostler-project/hostler/provider/sandbox"
)

// TestHostUntouched: what root does inside stays there.
func TestHostUntouched(t *testing.T) { untouched(t) }

func TestHostUntouchedAsUser(t *testing.T) {
	if asUser(t) {
		untouched(t)
	}
}

func untouched(t *testing.T) {
	dirs := []string{"/", "/etc", "/usr", "/usr/bin", "/var", "/root", "/opt", "/dev", "/tmp", os.Getenv("HOME")}
	j := newJail(t, sandbox.Options{})
	if got := j.try("", append([]string{"write"}, dirs...)...); got != "open" {
		t.Errorf("writing inside: %s", got)
	}
	for _, script := range []string{
		"rm -rf /etc /usr/share /var/lib 2>/dev/null; test ! -e /etc/passwd",
		"hostname changed; test \"$(hostname)\" != changed || true",
	} {
		if exit, err := j.conn.Run(
			t.Context(), &compute.Command{Args: []string{"/bin/sh", "-c", script}},
		); err != nil || exit.Status() != 0 {
			t.Errorf("%s: exit = %v err = %v; want no error and exit.Status() == 0", script, exit, err)
		}
	}
	for _, dir := range dirs {
		if _, err := os.Lstat(filepath.Join(dir, "hostler-test-written")); err == nil {
			t.Errorf("%s of the host was written to", dir)
		}
	}
	if _, err := os.Stat("/etc/passwd"); err != nil {
		t.Error(err)
	}
	if name, _ := os.Hostname(); name == "changed" {
		t.Error("the host has another name")
	}
	// Without the layer that keeps what is written, it is written to the host.
	for _, without := range []string{"", "layer"} {
		dir := homeDir(t)
		j := newJail(t, sandbox.Options{Show: []string{dir}, Without: []string{without}})
		if got := j.try("", "write", dir); got != "open" {
			t.Errorf("without %q: writing inside: %s", without, got)
		}
		if _, err := os.Lstat(filepath.Join(dir, "hostler-test-written")); (err == nil) != (without == "layer") {
			t.Errorf("without %q, on the host: %v", without, err)
		}
	}
}

// TestNothingStays: no process outlives its sandbox, and cleaning leaves nothing of the one before.
func TestNothingStays(t *testing.T) { nothingStays(t) }

func TestNothingStaysAsUser(t *testing.T) {
	if asUser(t) {
		nothingStays(t)
	}
}

func nothingStays(t *testing.T) {
	j := newJail(t, sandbox.Options{})
	mark := strconv.Itoa(3600 + os.Getpid())
	run := func(script string) string {
		t.Helper()
		var out bytes.Buffer
		if _, err := j.conn.Run(
			t.Context(),
			&compute.Command{Args: []string{"/bin/sh", "-c", script}, Stdout: &out, Stderr: &out, Stay: true},
		); err != nil {
			t.Fatalf("%s: err = %v; want no error", script, err)
		}
		return strings.TrimSpace(out.String())
	}
	run("echo x >/var/last-user; echo y >~/last-user; mkdir -p /dev/shm/z")
	if got := j.try("", "stay", mark); got != "open" {
		t.Fatal(got)
	}
	if _, err := j.p.Clean(t.Context(), "jail"); err != nil {
		t.Fatal(err)
	}
	if n := sleepers(t, mark); n != 0 {
		t.Errorf("%d processes outlived their lease", n)
	}
	_ = j.conn.Close()
	var err error
	if j.conn, err = j.p.Connect(t.Context(), "jail"); err != nil {
		t.Fatal(err)
	}
	if out := run("ls /var/last-user ~/last-user /dev/shm/z 2>/dev/null"); out != "" {
		t.Errorf("of the last user there is %s", out)
	}
	if got := j.try("", "stay", mark); got != "open" {
		t.Fatal(got)
	}
	j.end()
	if n := sleepers(t, mark); n != 0 {
		t.Errorf("%d processes outlived their sandbox", n)
	}
	// Each of two ends them: that the first process of their name space ends, and their control
	// group, where there is one.
	for _, without := range [][]string{{"pid"}, {"gather"}, {"pid", "gather"}} {
		dir := t.TempDir()
		o := sandbox.Options{Dir: dir, Without: without}
		j := newJail(t, o)
		if got := j.try("", "stay", mark); got != "open" {
			t.Fatal(got)
		}
		j.end()
		stay := len(without) == 2 || without[0] == "pid" && len(groups(t)) == 0 && os.Geteuid() != 0
		if n := sleepers(t, mark); n != map[bool]int{true: 1}[stay] {
			t.Errorf("without %v: %d processes outlived their sandbox", without, n)
		}
		endSleepers(t, mark)
		gone(t, open(t, sandbox.Options{Dir: dir}), "jail") // with its control group
	}
}

// endSleepers ends the processes that sleepers counts.
func endSleepers(t *testing.T, n string) {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil && strings.HasSuffix(string(b), "sleep\x00"+n+"\x00") {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}

// The world of TestMetadata, which is reached through NAT: this machine's address in it, one that
// is far, and that of clouds' metadata services.
const (
	nearAddr     = "45.83.65.1"
	farAddr      = "45.83.64.10"
	metadataAddr = "169.254.169.254"
)

const worldEnv = "HOSTLER_TEST_WORLD"

// inWorld runs a test again in a network of its own where it is root, so that there is a world to
// be reached, and reports whether this is that run.
func inWorld(t *testing.T) bool {
	t.Helper()
	if os.Getenv(worldEnv) != "" {
		if os.Geteuid() == 0 {
			makeWorld(t)
		}
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("world: only root makes networks")
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), worldEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("in a world: %v\n%s", err, out)
	} else if strings.Contains(string(out), "--- SKIP") {
		t.Skipf("world: %s", out)
	}
	return false
}

// makeWorld makes a link from this network name space to another, which has the addresses, each
// with a server on port 80.
func makeWorld(t *testing.T) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
			runtime.Goexit()
		}
	}
	up := func(name string, addrs ...string) {
		l, err := netlink.LinkByName(name)
		must(err)
		for _, a := range addrs {
			addr, err := netlink.ParseAddr(a)
			must(err)
			must(netlink.AddrAdd(l, addr))
		}
		must(netlink.LinkSetUp(l))
	}
	ready, linked, served, end := make(chan *os.File), make(chan bool), make(chan bool), make(chan bool)
	go func() {
		runtime.LockOSThread() // and never unlocked: the name space ends with the thread
		defer close(served)
		must(unix.Unshare(unix.CLONE_NEWNET))
		ns, err := os.Open("/proc/thread-self/ns/net")
		must(err)
		ready <- ns
		<-linked
		up("lo", farAddr+"/32", metadataAddr+"/32")
		up("uplink", "45.83.65.2/24")
		for _, addr := range []string{farAddr, metadataAddr} {
			l, err := net.Listen("tcp4", addr+":80")
			must(err)
			t.Cleanup(func() { l.Close() })
		}
		served <- true
		<-end
	}()
	t.Cleanup(func() { close(end) })
	ns := <-ready
	defer ns.Close()
	must(netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "uplink"}, PeerName: "uplink", PeerNamespace: netlink.NsFd(ns.Fd()),
	}))
	up("lo")
	up("uplink", nearAddr+"/24")
	l, err := netlink.LinkByName("uplink")
	must(err)
	must(netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: net.ParseIP("45.83.65.2")}))
	close(linked)
	<-served
}

// TestMetadata: a sandbox that reaches the world reaches neither the metadata service of a cloud,
// nor this machine.
func TestMetadata(t *testing.T) {
	if !inWorld(t) {
		return
	}
	l, err := net.Listen("tcp4", nearAddr+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, without := range []string{"", "metadata", "host"} {
		j := newJail(t, sandbox.Options{Network: "nat", NetworkDir: filepath.Join(t.TempDir(), "network"), Without: []string{without}})
		for addr, defence := range map[string]string{farAddr: without, metadataAddr: "metadata", nearAddr: "host"} {
			if got := j.try("", "tcp", addr+":80"); (got == "open") != (without == defence) ||
				got != "open" && !strings.HasPrefix(got, "refused") {
				t.Errorf("without %q, %s: %s", without, addr, got)
			}
		}
		j.end()
	}
}

// TestMetadataAsUser: the same for one that has no network but its own.
func TestMetadataAsUser(t *testing.T) {
	if !inWorld(t) || !asUser(t) {
		return
	}
	for _, without := range []string{"", "net"} {
		j := newJail(t, sandbox.Options{Without: []string{without}})
		if got := j.try("", "tcp", metadataAddr+":80"); (got == "open") != (without == "net") ||
			got != "open" && !strings.HasPrefix(got, "refused") {
			t.Errorf("without %q: %s", without, got)
		}
		j.end()
	}
}

// TestLimitsAsUser: where control groups were delegated to an ordinary user, his sandboxes have
// limits like root's.
func TestLimitsAsUser(t *testing.T) {
	if os.Geteuid() == 0 {
		tree, err := cgroup.Find("hostler-" + mine() + "-delegated")
		if err != nil {
			t.Fatal(err)
		}
		can := tree.Can()
		if err := errors.Join(can.Memory, can.PIDs); err != nil {
			t.Skipf("limits: %v", err)
		}
		g, err := tree.Make(t.Context(), "user", cgroup.Limits{Memory: 900 << 20, PIDs: 2000})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx := context.WithoutCancel(t.Context())
			if err := errors.Join(g.Kill(ctx), g.Remove(ctx), tree.Remove(ctx)); err != nil {
				t.Error(err)
			}
		})
		if err := g.Delegate(nobody, nobody); err != nil {
			t.Fatal(err)
		}
		dirs, _ := filepath.Glob("/sys/fs/cgroup/*/hostler-" + mine() + "-delegated/user")
		for _, dir := range dirs {
			for _, file := range []string{"", "cgroup.procs", "tasks"} {
				if err := os.Chown(filepath.Join(dir, file), nobody, nobody); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
			}
		}
		t.Setenv(groupEnv, "1")
		group = g
		defer func() { group = nil }()
	} else if os.Getenv(groupEnv) == "" {
		t.Skip("limits: this user has no control group")
	}
	if !asUser(t) {
		return
	}
	for _, c := range []struct {
		words   []string
		options sandbox.Options
		closed  string
	}{
		{[]string{"processes", "200"}, sandbox.Options{PIDs: 100}, "refused"},
		{[]string{"memory", strconv.Itoa(256 << 20)}, sandbox.Options{Memory: 64 << 20}, "ended with 137 out of memory"},
	} {
		if got := newJail(t, c.options).try("", c.words...); !strings.HasPrefix(got, c.closed) && !strings.HasSuffix(got, usedUp) {
			t.Errorf("%v with a limit: %s", c.words, got)
		}
		c.options.Without = []string{"limits"}
		if got := newJail(t, c.options).try("", c.words...); got != "open" {
			t.Errorf("%v without: %s", c.words, got)
		}
	}
}

// groupEnv says that an ordinary user's test runs in a control group that is his.
const groupEnv = "HOSTLER_TEST_GROUP"

// group is the control group that asUser starts in; nil: our own. Tests do not run at once.
var group *cgroup.Group

// groupOutput runs a command in the group, and returns what it says.
func groupOutput(cmd *exec.Cmd) ([]byte, error) {
	if group == nil {
		return cmd.CombinedOutput()
	}
	if fd := group.FD(); fd >= 0 {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, fd
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := group.Start(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	return out.Bytes(), err
}
