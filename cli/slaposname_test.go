package cli

import (
	"os"
	"path/filepath"
	"testing"
)

// A hint has the name under which one called us, and in a stand-alone says to start that.
func TestSlaposHintsAsCalled(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin/slapos"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const list, start = "hostler slapos service list shows all", "start it with: hostler slapos node supervisord"
	for _, c := range []struct{ file, program, hint, want string }{
		{"", "hostler", list, list}, {"", "slapos", list, "slapos service list shows all"},
		{"", "slapos", "hostler status", "hostler status"}, {"", "slapos", "", ""},
		{"", "hostler", start, start}, {"", "slapos", start, "start it with: slapos node supervisord"},
		{"/etc/opt/slapos/slapos.cfg", "hostler", list, list}, {filepath.Join(dir, "none/etc/slapos.cfg"), "hostler", start, start},
		{filepath.Join(dir, "etc/slapos.cfg"), "hostler", list, "slapos service list shows all"},
		{filepath.Join(dir, "etc/slapos.cfg"), "hostler", start, "start it with: hostler slapos standalone " + dir},
	} {
		t.Setenv("SLAPOS_CONFIGURATION", c.file)
		if got := AsCalled(c.program, c.hint); got != c.want {
			t.Errorf("%q, %s, %q: %q, not %q", c.file, c.program, c.hint, got, c.want)
		}
	}
}
