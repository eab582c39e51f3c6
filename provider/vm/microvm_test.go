//go:build linux

package vm_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hostler-project/hostler/provider/vm/ticks"
)

// TestMicroVM saves and restores the small machine, without PCI and without a network, and as
// another user. It is made on a busy machine, where a kernel that has to find out by itself how
// fast its clock runs does not, and stands still for ever.
func TestMicroVM(t *testing.T) {
	o := lab(t)
	o.Warm, o.Machine, o.Network, o.User = true, "microvm", "none", "user"
	o.Dir = filepath.Join(t.TempDir(), "state")
	var idle atomic.Bool
	var busy sync.WaitGroup
	defer busy.Wait()
	defer idle.Store(true)
	for range runtime.NumCPU() {
		busy.Go(func() {
			for !idle.Load() {
			}
		})
	}
	p := open(t, o)
	create(t, p, "suite-1")
	c := connect(t, p, "suite-1")
	if got := sh(
		t, c, "id -un; hostname; ls /sys/class/net; ls /sys/bus/pci/devices 2>/dev/null | wc -l",
	); !strings.HasPrefix(got, "user\nsuite-1\nlo\n") {
		t.Errorf("it says %q", got)
	}
	rate := fmt.Sprintf("tsc_early_khz=%d", ticks.Rate())
	// measured twice
	if got := sh(t, c, "cat /proc/cmdline"); !strings.Contains(got, rate[:len(rate)-3]) {
		t.Errorf("of %s it was told %q", rate, got)
	}
}
