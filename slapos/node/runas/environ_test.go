package runas_test

import (
	"slices"
	"testing"

	"github.com/hostler-project/hostler/slapos/node/runas"
)

// TestEnviron drops what bends Python and words and what is hostler's own, and nothing else.
func TestEnviron(t *testing.T) {
	got := runas.Environ(
		[]string{
			"PATH=/bin", "LC_ALL=C", "LANG=de", "PYTHONPATH=/x", "HOME=/root", "LC=kept", "TMPDIR=/x",
			"HOSTLER_TOKEN=secret", "A=b=c",
		},
		"/srv/p0",
	)
	if want := []string{"PATH=/bin", "LC=kept", "A=b=c", "HOME=/srv/p0", "PYTHONNOUSERSITE=true"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
