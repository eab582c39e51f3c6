package resource

import "testing"

// TestShown: who has objects is told of these, and not of files that there are not; files that
// there are stay.
func TestShown(t *testing.T) {
	whole := func(kind, name string) bool { return kind == "source" && name == "file" }
	for text, want := range map[string]string{
		"sources/bad/source.conf:5: source bad: reserv: unknown key; did you mean reserve?":                "source bad: reserv: unknown key; did you mean reserve?",
		"sources/bad/source.conf:5: source bad: a: x; sources/bad/source.conf: source bad: b: y":           "source bad: a: x; source bad: b: y",
		"bundles/b/bundle.conf:1: is not KEY = VALUE":                                                      "bundle b: is not KEY = VALUE",
		"/var/lib/hostler/applied/0a1b/3-77/sources/bad/source.conf:7: source bad: template: no such file": "source bad: template: no such file",
		"sources/file/source.conf:2: source file: x: unknown key":                                          "source file: source.conf:2: x: unknown key",
		"this would break the source x: /etc/hostler/sources/x/source.conf:3: source x: bundles: no":       "this would break the source x: /etc/hostler/sources/x/source.conf:3: source x: bundles: no",
		"source mine: it is defined in /etc/hostler/sources/mine/source.conf (files count first)":          "source mine: it is defined in /etc/hostler/sources/mine/source.conf (files count first)",
		"source hooked: permission denied: sources/hooked/provision.d: its programs run":                   "source hooked: permission denied: sources/hooked/provision.d: its programs run",
	} {
		if got := userError(text, whole); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
