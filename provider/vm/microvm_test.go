//go:build linux

package vm_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/vm"
)

// silence is how long a kernel may take to its first word, which it says after two seconds if it says any.
const silence = 20 * time.Second

// TestMicroVM saves and restores the small machine, without PCI and without a network, and as another user. On some machines an emulated kernel mostly
// stands still on it before its first word: so when ours is silent, a qemu is asked that has nothing of ours but the kernel. If that one speaks, and
// so a second time, the fault is ours.
func TestMicroVM(t *testing.T) {
	o := lab(t)
	o.Warm, o.Machine, o.Network, o.User = true, "microvm", "none", "user"
	for tries := 1; ; tries++ {
		o.Dir = filepath.Join(t.TempDir(), "state")
		p := open(t, o)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		mute, done := make(chan bool, 1), make(chan struct{})
		go func() { mute <- staysSilent(o.Dir, done, cancel) }()
		_, err := p.Create(ctx, compute.Spec{ID: "suite-1"})
		close(done)
		silent := <-mute
		cancel()
		if err == nil {
			t.Cleanup(func() { destroy(t, p, "suite-1") })
			c := connect(t, p, "suite-1")
			if got := sh(t, c, "id -un; hostname; ls /sys/class/net; ls /sys/bus/pci/devices 2>/dev/null | wc -l"); !strings.HasPrefix(got, "user\nsuite-1\nlo\n") {
				t.Errorf("it says %q", got)
			}
			return
		}
		destroy(t, p, "suite-1")
		if errors.Is(err, compute.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
			t.Skip("microvm: an emulated one stands still for minutes now and then on this machine: ", err)
		}
		if !silent || !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if !speaks(t, o) {
			t.Skip("microvm: the emulated kernel stands still before its first word on this machine, in a qemu without anything of ours too: ", err)
		}
		if tries == 2 {
			t.Fatalf("the kernel speaks on a microvm, but not on ours: %v", err)
		}
	}
}

// staysSilent ends the making of a machine that has not said a word in time, and reports whether it did.
func staysSilent(dir string, done <-chan struct{}, end func()) bool {
	for {
		select {
		case <-done:
			return false
		case <-time.After(100 * time.Millisecond):
		}
		files, _ := filepath.Glob(filepath.Join(dir, "templates", "*", "console.log"))
		for _, f := range files {
			fi, err := os.Stat(f)
			if err == nil && fi.Size() > 0 {
				<-done
				return false
			}
			began, err := os.Stat(filepath.Join(filepath.Dir(f), "qemu.log"))
			if err == nil && time.Since(began.ModTime()) > silence {
				end()
				<-done
				return true
			}
		}
	}
}

// speaks boots the kernel on a microvm of qemu's own, and reports whether it says anything.
func speaks(t *testing.T, o vm.Options) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), silence)
	defer cancel()
	heard := &ear{heard: cancel}
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-machine", "microvm,rtc=on", "-accel", "tcg,tb-size=128", "-cpu", "max,-avx,-avx2", "-m", "256M", "-nodefaults",
		"-no-user-config", "-display", "none", "-no-reboot", "-kernel", o.Kernel, "-initrd", o.Initrd, "-append", o.Append, "-serial", "stdio")
	cmd.Stdout = heard
	_ = cmd.Run()
	return heard.n > 0
}

// ear calls heard at the first word of the kernel.
type ear struct {
	heard func()
	n     int
}

func (e *ear) Write(b []byte) (int, error) {
	if len(bytes.TrimSpace(b)) > 0 {
		e.n++
		e.heard()
	}
	return len(b), nil
}
