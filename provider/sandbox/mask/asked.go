//go:build linux

package mask

import (
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/hostler-project/hostler/provider"
)

// hints of what to write instead.
const (
	narrower  = "name the directories or files in it that programs need"
	plainPath = "write an absolute path, or one that begins with ~/"
	ownHint   = "take it out: whoever reads or writes there decides what hostler does on this machine"
)

// Check validates the paths that the user wants shown and hidden, without a look at any file. Its
// errors are provider.KeyErrors of the keys show and hide.
func (o *Options) Check() error {
	for _, of := range []struct {
		key   string
		words []string
	}{{"show", o.Show}, {"hide", o.Extra}} {
		for _, word := range of.words {
			if why := Odd(word); why != "" {
				return provider.WrongKey(of.key, plainPath, "%s = %q: %s", of.key, word, why)
			}
			if _, err := expand([]string{word}, o.Home); err != nil {
				return provider.WrongKey(
					of.key, plainPath, "%s = %q: it is neither an absolute path nor one that begins with ~/", of.key,
					word,
				)
			}
		}
	}
	hidden, _ := expand(o.Extra, o.Home)
	for i, p := range expanded(o.Show, o.Home) {
		why, hint := o.unshown(p, path.Clean(o.Home))
		if why == "" && slices.Contains(hidden, p) {
			why, hint = "the key hide names it too", "take it out of one of the two"
		}
		if why != "" {
			return provider.WrongKey("show", hint, "show = %s: %s", o.Show[i], why)
		}
	}
	return nil
}

// expanded is expand for valid paths.
func expanded(paths []string, home string) []string {
	out, _ := expand(paths, home)
	return out
}

// Odd returns why a word cannot be the path of a key; "": it can.
func Odd(word string) string {
	switch {
	case strings.TrimSpace(word) == "":
		return "it is empty"
	case strings.ContainsFunc(word, unicode.IsControl):
		return "it has a control character"
	case slices.Contains(strings.Split(word, "/"), ".."):
		return "it has a part .., which leads elsewhere after a link"
	}
	return ""
}

// unshown returns why a clean path is never shown as a whole, and what to do; "": it may be.
func (o *Options) unshown(p, home string) (why, hint string) {
	if p == "/" {
		return "it is the whole machine", narrower
	}
	if home != "." && home != "/" && (p == home || below(home, p)) {
		return "it has your whole home in it, with all that no table knows", narrower
	}
	for _, d := range []string{"/dev", "/proc", "/sys"} {
		if p == d || below(p, d) {
			return d + " is the sandbox's own", "take it out"
		}
	}
	for _, d := range o.owned(home) {
		if p == d || below(p, d) {
			return d + " is hostler's own: state, configuration or cache", ownHint
		}
	}
	return "", ""
}

// owned returns hostler's own directories, which no key shows.
func (o *Options) owned(home string) []string {
	out := []string{"/etc/hostler", "/var/lib/hostler", "/var/cache/hostler"}
	for _, d := range o.State {
		out = append(out, path.Clean(d))
	}
	if home != "." {
		for _, d := range []string{".config", ".local/state", ".cache"} {
			out = append(out, path.Join(home, d, "hostler"))
		}
	}
	return out
}

// showable refuses what links lead to one of the places that are never shown as a whole.
func (o *Options) showable(w *walker, show []string) error {
	real := *o
	real.State = nil
	for _, d := range o.owned(path.Clean(o.given)) {
		at, _, err := w.find(d, true)
		if err != nil {
			return err
		}
		real.State = append(real.State, d, at)
	}
	for _, p := range show {
		at, what, err := w.find(p, true)
		if err != nil {
			return err
		}
		if what == isMissing || what == isBlocked || what == isLoop {
			continue
		}
		if why, hint := real.unshown(at, o.Home); why != "" {
			return provider.WrongKey("show", hint, "show = %s: %s", p, why)
		}
	}
	return nil
}
