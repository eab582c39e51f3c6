//go:build linux

package vm_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"errors"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/vm"
	"github.com/hostler-project/hostler/remote/agent"
)

// built builds the guest's program once.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hostler-vm-agent-*")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "hostler-agent")
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", path, "./testdata/agent")
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
		Source: "suite", Installation: "mine", Image: kv["disk"], Kernel: kv["kernel"], Initrd: kv["initrd"], Append: kv["append"], Accel: "tcg", Ready: "test -e /run/sshd.pid",
		Memory: 256 << 20, Agent: func(string) (agent.Program, error) { return agent.Program{Path: path}, nil },
	}
}

func open(t testing.TB, o vm.Options) *vm.Provider {
	t.Helper()
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
			t.Fatalf("Connect: %v\nconsole: %s", err, said)
		}
	}
}

// sh runs a script, which must succeed, and returns its output.
func sh(t testing.TB, c compute.Conn, script string) string {
	t.Helper()
	var out, bad bytes.Buffer
	exit, err := c.Run(t.Context(), &compute.Command{Args: []string{"sh", "-c", script}, Stdout: &out, Stderr: &bad})
	if err != nil || exit.Status() != 0 {
		t.Fatalf("%s: %+v, %v: %s", script, exit, err, bad.String())
	}
	return strings.TrimSpace(out.String())
}

func TestBoot(t *testing.T) {
	o := lab(t)
	o.Dir = filepath.Join(t.TempDir(), "state")
	p := open(t, o)
	began := time.Now()
	create(t, p, "suite-1")
	t.Log("created", time.Since(began))
	c := connect(t, p, "suite-1")
	t.Log("connected", time.Since(began))
	t.Log(sh(t, c, "hostname; cat /etc/machine-id; id; ps aux | head -50; cat /proc/mounts"))
}
