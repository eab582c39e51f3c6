//go:build linux

package vm_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestMicroVM saves and restores the small machine, without PCI and without a network, and as another user.
func TestMicroVM(t *testing.T) {
	o := lab(t)
	o.Warm, o.Machine, o.Network, o.User, o.Dir = true, "microvm", "none", "user", filepath.Join(t.TempDir(), "state")
	p := open(t, o)
	create(t, p, "suite-1")
	c := connect(t, p, "suite-1")
	if got := sh(t, c, "id -un; hostname; ls /sys/class/net; ls /sys/bus/pci/devices 2>/dev/null | wc -l"); !strings.HasPrefix(got, "user\nsuite-1\nlo\n") {
		t.Errorf("it says %q", got)
	}
}
