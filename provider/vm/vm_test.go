//go:build linux

package vm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/guard"
	"github.com/hostler-project/hostler/provider/vm"
	"github.com/hostler-project/hostler/remote/agent"

	"github.com/hostler-project/hostler/image/registry"
)

// places are removed at the end.
var places []string

// built builds the guest's program once.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hostler-vm-agent-*")
	if err != nil {
		return "", err
	}
	places = append(places, dir)
	path := filepath.Join(dir, "hostler-agent")
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", path, "../../cmd/hostler-agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

// lab returns options for the lab's machine, without Dir.
func lab(t testing.TB) vm.Options {
	t.Helper()
	if testing.Short() {
		t.Skip("vm: booting takes seconds")
	}
	for _, tool := range []string{"qemu-system-x86_64", "go"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("HOSTLER_REQUIRE_LAB") != "" {
				t.Fatalf("vm: %s is required", tool)
			}
			t.Skipf("vm: no %s", tool)
		}
	}
	kv := computetest.Lab{Set: "vm", Net: 71}.Run(t, "vm-image", "make", "fast")
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return vm.Options{
		Source: "suite", Installation: "mine", Image: kv["disk"], Kernel: kv["kernel"], Initrd: kv["initrd"],
		Append: kv["append"], Accel: "tcg", Ready: "test -e /run/sshd.pid",
		Memory: 256 << 20, Agent: func(string) (agent.Program, error) { return agent.Program{Path: path}, nil },
	}
}

func open(t testing.TB, o vm.Options) *vm.Provider {
	t.Helper()
	o.Registry = registry.Client{}
	p, err := vm.Open(t.Context(), slog.New(slog.DiscardHandler), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// create makes an instance, and sees to its end.
func create(t testing.TB, p *vm.Provider, id compute.ID) {
	t.Helper()
	if _, err := p.Create(t.Context(), compute.Spec{ID: id}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { destroy(t, p, id) })
}

func destroy(t testing.TB, p *vm.Provider, id compute.ID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for err := error(nil); !errors.Is(err, compute.ErrNotFound); {
		if err = p.Destroy(ctx, id); err != nil && !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("Destroy: %v", err)
			return
		}
	}
}

// connect waits until an instance can be reached.
func connect(t testing.TB, p *vm.Provider, id compute.ID) compute.Conn {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		c, err := p.Connect(t.Context(), id)
		if err == nil {
			t.Cleanup(func() { c.Close() })
			return c
		}
		if !errors.Is(err, compute.ErrNotReady) || time.Now().After(end) {
			said, _ := p.Console(t.Context(), id)
			words, _ := os.ReadFile(filepath.Join(p.Home(id), "qemu.log"))
			t.Fatalf("Connect: %v\nconsole: %s\nqemu: %s", err, said, words)
		}
	}
}

// sh runs a script, which must succeed, and returns its output.
func sh(t testing.TB, c compute.Conn, script string) string {
	t.Helper()
	var out, bad bytes.Buffer
	exit, err := c.Run(t.Context(), &compute.Command{Args: []string{"sh", "-c", script}, Stdout: &out, Stderr: &bad})
	if err != nil || exit.Status() != 0 {
		t.Fatalf("%s: exit = %+v, err = %v: bad = %s; want no error and exit.Status() == 0", script, exit, err, bad.String())
	}
	return strings.TrimSpace(out.String())
}

// stable is a directory of instances with a saved machine in it, made once for all tests.
var stable = struct {
	sync.Mutex
	dir string
}{}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, dir := range places {
		_ = os.RemoveAll(dir)
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// warm returns options for copies of a saved machine, in a directory of the test's own, where it is
// saved already.
func warm(t testing.TB) vm.Options {
	t.Helper()
	o := lab(t)
	o.Warm = true
	stable.Lock()
	defer stable.Unlock()
	if stable.dir == "" {
		dir, err := os.MkdirTemp("", "hostler-vm-*")
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, dir)
		stable.dir = filepath.Join(dir, "state")
		o.Dir = stable.dir
		p := open(t, o)
		began := time.Now()
		if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-first"}); err != nil {
			stable.dir = ""
			t.Fatal(err)
		}
		destroy(t, p, "suite-first")
		t.Log("booted and saved a machine in", time.Since(began))
	}
	o.Dir = filepath.Join(t.TempDir(), "state")
	// links: nobody writes to these files
	for _, sub := range []string{"templates", "facts", "boot"} {
		if out, err := exec.Command(
			"sh", "-c", `mkdir -p -m 700 "$2" && cp -al "$1" "$2"`, "sh", filepath.Join(stable.dir, sub), o.Dir,
		).CombinedOutput(); err != nil {
			t.Fatalf("%v: out = %s; want no error", err, out)
		}
	}
	t.Cleanup(func() {
		for _, x := range left(t, o.Dir) {
			t.Errorf("left behind: %s", x)
		}
	})
	return o
}

// left names what there is of instances in a directory: processes, files.
func left(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, l := range lines {
		cwd, _ := os.Readlink(filepath.Join(filepath.Dir(l), "cwd"))
		b, _ := os.ReadFile(l)
		if strings.HasPrefix(cwd, dir) || bytes.Contains(b, []byte("qemu")) && bytes.Contains(b, []byte(dir)) {
			out = append(out, "process "+l+" "+string(b))
		}
	}
	for _, glob := range []string{"instances/*", "trash*", "trash/*/*", "new-*"} {
		files, _ := filepath.Glob(filepath.Join(dir, glob))
		out = append(out, files...)
	}
	return out
}

// TestBoot boots a machine, uses it, cleans it, shuts it down and starts it again.
func TestBoot(t *testing.T) {
	o := lab(t)
	o.Dir = filepath.Join(t.TempDir(), "state")
	p := open(t, o)
	create(t, p, "suite-1")
	if _, err := p.Connect(t.Context(), "suite-1"); !errors.Is(err, compute.ErrNotReady) {
		t.Errorf("Connect while it boots: %v", err)
	}
	c := connect(t, p, "suite-1")
	if pid, _ := p.PID("suite-1"); pid != 0 {
		jailed(t, pid)
	}
	in, err := p.List(t.Context())
	if err != nil || len(in) != 1 {
		t.Fatalf("in = %v, err = %v; want no error and len(in) == 1", in, err)
	}
	if got, want := sh(
		t, c, "hostname; cat /etc/hostname /etc/machine-id",
	), "suite-1\nsuite-1\n"+strings.ReplaceAll(in[0].ProviderID, "-", ""); got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
	if got := sh(t, c, "cat /proc/cmdline"); !strings.Contains(got, "console=ttyS0") {
		t.Errorf("the command line is %q", got)
	}
	if got := sh(t, c, "cat /proc/sys/kernel/randomize_va_space"); got != "0" { // as it is emulated
		t.Errorf("addresses in programs are random: %s", got)
	}
	said, err := p.Console(t.Context(), "suite-1")
	if err != nil || !strings.Contains(said, "lab-ready") {
		t.Errorf("console: %q, %v", said, err)
	}
	sh(t, c, "echo kept > /root/kept; sync")
	c.Close()
	if err := p.Stop(t.Context(), "suite-1", 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(t.Context(), "suite-1"); !errors.Is(err, compute.ErrUnavailable) {
		t.Errorf("Check of one that is shut down: %v", err)
	}
	if _, err := p.Connect(t.Context(), "suite-1"); !errors.Is(err, compute.ErrUnavailable) || errors.Is(err, compute.ErrNotReady) {
		t.Errorf("Connect to one that is shut down: %v", err)
	}
	if pid, _ := p.PID("suite-1"); pid != 0 || len(left(t, o.Dir)) != 1 {
		t.Errorf("after Stop there is %v", left(t, o.Dir))
	}
	if err := p.Start(t.Context(), "suite-1"); err != nil {
		t.Fatal(err)
	}
	c = connect(t, p, "suite-1")
	if got := sh(t, c, "cat /root/kept"); got != "kept" {
		t.Errorf("after Stop and Start the disk has %q", got)
	}
	c.Close()
	destroy(t, p, "suite-1")
	for _, x := range left(t, o.Dir) {
		t.Error("left behind:", x)
	}
}

func TestProvider(t *testing.T) {
	o := warm(t)
	computetest.Provider(t, computetest.ProviderOptions{
		New:      func(t *testing.T) compute.Provider { return guard.New(open(t, o), guard.Options{}) },
		Foreign:  func(t *testing.T) compute.Provider { o := o; o.Installation = "another"; return open(t, o) },
		Source:   "suite",
		Patience: time.Minute, Parallel: 3,
		Leak: func() []string { return left(t, o.Dir) },
	})
}

func TestConn(t *testing.T) {
	p := open(t, warm(t))
	create(t, p, "suite-1")
	computetest.Conn(t, computetest.ConnOptions{
		Dir: "/tmp", Shell: true,
		Skip: map[string]string{
			"HugeOutput":        "an emulated machine takes minutes for a gigabyte; see TestBulk",
			"HugeInput":         "an emulated machine takes minutes for a gigabyte; see TestBulk",
			"DescendantsSignal": "an emulated machine takes half a minute; to cancel and to end are the same there",
			"Sparse":            "an emulated machine takes a minute for a gigabyte, of holes too",
		},
		New: func(t *testing.T) compute.Conn {
			c, err := p.Connect(t.Context(), "suite-1")
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
	})
}
