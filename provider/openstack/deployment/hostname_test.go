package deployment_test

import (
	"strings"
	"testing"

	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// TestHostName has the names of hosts that OpenStack makes of servers' names.
func TestHostName(t *testing.T) {
	for name, want := range map[string]string{
		// of the specification
		"test-123-one": "test-123-one", "teSt-123-one": "test-123-one", "test_123-one": "test-123-one", "test_123*ONE": "test-123-one",
		// what was seen
		"0ac-0 - ": "0ac-0---", "Z..": "z-", ".0*bZZ.9ü": "-0-bzz-9-", "_.-ü9": "---9", "__c*0": "-c-0",
		strings.Repeat("Ab", 40): strings.Repeat("ab", 40)[:63], strings.Repeat("a", 62) + "_-b": strings.Repeat("a", 62) + "-", "": "",
	} {
		if got := deployment.HostName(name); got != want {
			t.Errorf("%q is called %q, want %q", name, got, want)
		}
	}
}
