package nearest_test

import (
	"strings"
	"testing"

	"github.com/hostler-project/hostler/text/nearest"
)

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"abc", "ca", 3}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "abd", 1},
		{"abc", "acb", 1}, {"reserve", "reserv", 1}, {"reserve", "rserve", 1},
		{"kitten", "sitting", 3}, {"ab", "ba", 1}, {"abcd", "badc", 2}, {strings.Repeat("a", 100), strings.Repeat("a", 64), 0},
	} {
		if got := nearest.Distance(test.a, test.b); got != test.want {
			t.Errorf("%q and %q: %d, want %d", test.a, test.b, got, test.want)
		}
		if got := nearest.Distance(test.b, test.a); got != test.want {
			t.Errorf("%q and %q: %d, want %d", test.b, test.a, got, test.want)
		}
	}
}

func TestOf(t *testing.T) {
	for _, test := range []struct{ name, want string }{
		{"MAX_AGE", "max-age"}, {"max-sue", "max-use"}, {"zz", "max-age"}, {"", "max-age"}, {"reserv", "reserve"},
	} {
		if got := nearest.Of(test.name, []string{"reserve", "max-use", "max-age"}); got != test.want {
			t.Errorf("%q: %q, want %q", test.name, got, test.want)
		}
	}
	if got := nearest.Of("x", nil); got != "" {
		t.Errorf("of none: %q", got)
	}
}

func TestNear(t *testing.T) {
	known := []string{"reserve", "max-use", "both", "web"}
	for _, test := range []struct{ name, want string }{
		{"MAX_USE", "max-use"}, {"max-sue", "max-use"}, {"reserv", "reserve"}, {"wbe", "web"}, {"nosuch", ""},
		{"zz", ""}, {"", ""}, {"colour", ""},
	} {
		if got := nearest.Near(test.name, known); got != test.want {
			t.Errorf("%q: %q, want %q", test.name, got, test.want)
		}
	}
	if got := nearest.Near("x", nil); got != "" {
		t.Errorf("of none: %q", got)
	}
}

func TestMeant(t *testing.T) {
	known := []string{"run", "runs", "rerun", "status", "release"}
	for _, test := range []struct{ typed, want string }{
		{"rn", "run"}, {"run", "runs"}, {"rusn", "run"}, {"stauts", "status"}, {"frobnicate", ""}, {"x", ""}, {"", ""},
		{"releas", "release"},
	} {
		if got := nearest.Meant(test.typed, known); got != test.want {
			t.Errorf("%q: %q, want %q", test.typed, got, test.want)
		}
	}
	if got := nearest.Meant("wb", []string{"wc", "wa"}); got != "wa" {
		t.Errorf("of those that are alike: %q", got)
	}
}
