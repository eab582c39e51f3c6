//go:build linux

package vm_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// TestMicroVM saves and restores the small machine, without PCI and without a network, and as another user.
func TestMicroVM(t *testing.T) {
	o := lab(t)
	o.Warm, o.Machine, o.Network, o.User, o.Dir = true, "microvm", "none", "user", filepath.Join(t.TempDir(), "state")
	p := open(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := p.Create(ctx, compute.Spec{ID: "suite-1"})
	t.Cleanup(func() { destroy(t, p, "suite-1") })
	if errors.Is(err, context.DeadlineExceeded) {
		t.Skip("microvm: the emulated kernel stood still before its first word, as it does now and then on this machine: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, p, "suite-1")
	if got := sh(t, c, "id -un; hostname; ls /sys/class/net; ls /sys/bus/pci/devices 2>/dev/null | wc -l"); !strings.HasPrefix(got, "user\nsuite-1\nlo\n") {
		t.Errorf("it says %q", got)
	}
}
