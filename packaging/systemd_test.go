package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestExposure: the unit for a controller that strangers reach is exposed below 2.0, and lets the
// API process confine itself.
func TestExposure(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil && os.Getenv("HOSTLER_REQUIRE_LAB") == "" {
		t.Skip("packaging: there is no systemd-analyze")
	}
	const unit = "systemd/hostler-remote.service"
	security := func(file string) (string, error) {
		out, err := exec.Command(analyze, "--no-pager", "security", "--offline=true", "--threshold=20", file).CombinedOutput()
		return string(out), err
	}
	if out, err := security(unit); err != nil {
		t.Errorf("systemd-analyze security: err = %v; want an exposure below 2.0\n%s", err, out)
	}
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatalf("ReadFile: %v", err)
	}
	for _, want := range []string{"--api-process", "landlock_restrict_self", "seccomp"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s does not have %q", unit, want)
		}
	}
	worse := filepath.Join(t.TempDir(), "hostler-remote.service")
	without := strings.NewReplacer("PrivateUsers=yes\n", "", "ProtectSystem=strict\n", "", "CapabilityBoundingSet=\n", "").Replace(string(text))
	if err := os.WriteFile(worse, []byte(without), 0o600); err != nil {
		t.Fatalf("WriteFile: %v", err)
	}
	if out, err := security(worse); err == nil {
		t.Errorf("with three settings less: got an exposure below 2.0, want more: else this test shows nothing\n%s", out)
	}
}
