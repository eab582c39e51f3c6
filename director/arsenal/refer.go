package arsenal

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// secrets are the options that must not be shown.
var secrets = []string{"os_password", "os_auth_token", "admin_password", "admin_auth_token"}

func secret(option string) bool {
	_, key, _ := strings.Cut(option, ".")
	return slices.Contains(secrets, key)
}

// reference matches oslo.config's references: $key of the same section, else of DEFAULT, and
// $section.key, both in braces too. $$ stands for a $, and so does \$.
var reference = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\$\$|\\\$|\$\{[A-Za-z_][A-Za-z0-9_.]*\}|\$[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?|\$`)
})

// referrer replaces references by the values of options.
type referrer struct {
	values map[string]string // by section.key, as they stand there
	warn   func(option, what string)
	done   int // how many references have been followed
}

// mostReferences is how many references are followed in a file: each may lead to several more.
const mostReferences = 10_000

// value returns the value of an option. way are the options that refer to it.
func (r *referrer) value(option string, way ...string) string {
	section, _, _ := strings.Cut(option, ".")
	way = append(way, option)
	return reference().ReplaceAllStringFunc(r.values[option], func(ref string) string {
		name := strings.Trim(ref, "${}")
		if ref == "$$" || ref == `\$` {
			return "$"
		}
		warn := func(what string) {
			if secret(option) { // the apparent name may be part of the secret
				what = "has a $ that refers to nothing; $$ stands for one"
			}
			r.warn(option, what)
		}
		to, rest := r.find(section, name), ""
		// in $name.txt the part behind the point is not of the name
		if to == "" && ref[len(ref)-1] != '}' {
			if first, after, ok := strings.Cut(name, "."); ok {
				to, rest = r.find(section, first), "."+after
			}
		}
		switch {
		case name == "":
			warn("has a $ that refers to nothing; $$ stands for one")
		case to == "":
			warn("refers to " + name + ", which is not there; $$ stands for a $")
		case r.done >= mostReferences:
			warn("refers to " + name + ", and there are too many references")
		case slices.Contains(way, to):
			warn("refers to " + name + ", which refers back to it")
		case secret(to) && !secret(way[0]):
			warn("refers to " + name + ", which is a secret")
		default:
			r.done++
			return r.value(to, way...) + rest
		}
		return ref
	})
}

// find returns the option that a name refers to; "": none.
func (r *referrer) find(section, name string) string {
	for _, option := range []string{section + "." + name, "DEFAULT." + name, name} {
		if _, ok := r.values[option]; ok {
			return option
		}
	}
	return ""
}
