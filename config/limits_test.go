package config_test

import (
	"strings"
	"testing"
)

// TestNarrowerThanItHas: a source whose requests may ask for less than each of its instances has is
// wrong, and says where.
func TestNarrowerThanItHas(t *testing.T) {
	for text, want := range map[string]string{
		"type = vm\nmax-memory = 1G\n[vm]\nmemory = 2G\n":              "source.conf:2: source s: max-memory: 1G is less than memory = 2G of line 4, which each instance has",
		"type = vm\nmax-cores = 0.5\nmax-disk = 1G\n[vm]\ncores = 1\n": "source.conf:2: source s: max-cores: 0.5 is less than cores = 1 of line 5",
		"type = vm\nmax-memory = 2G\n[vm]\nmemory = 2G\n":              "",
		"type = vm\n[vm]\nmemory = 2G\n":                               "",
	} {
		w := newWorld(t)
		w.file("~/.config/hostler/sources/s/source.conf", text)
		s, err := w.load().Source("s")
		if err != nil {
			t.Fatal(err)
		}
		if want == "" && s.Err != nil || want != "" && (s.Err == nil || !strings.Contains(s.Err.Error(), want)) {
			t.Errorf(
				"%q: s.Err = %v"+
					`; want (want != "" or no error) and (want == "" or an error and s.Err.Error() with want)`,
				text, s.Err,
			)
		}
	}
}
