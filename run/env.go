package run

import (
	"strings"

	"github.com/hostler-project/hostler/compute/fault"
)

// Environment says which variables a command gets beside its usual ones.
type Environment struct {
	Allow []string          // names to take from here: NAME, or PREFIX_*
	Set   map[string]string // variables with their values
	Given []string          // NAME=VALUE, or NAME with its value here
	Own   map[string]string // hostler's own
	Hide  []string          // values that are not recorded
}

// For returns the variables that go along with a command. local says that it has the caller's
// variables already. Elsewhere only the locale, the named variables and hostler's own go along.
func (e *Environment) For(local bool, env []string) (map[string]string, error) {
	out := map[string]string{}
	here := map[string]string{}
	for _, kv := range env {
		key, value, _ := strings.Cut(kv, "=")
		here[key] = value
		if !local && (key == "CI" || key == "LANG" || strings.HasPrefix(key, "LC_") || allowed(e.Allow, key)) {
			out[key] = value
		}
	}
	for key, value := range e.Set {
		out[key] = value
	}
	for _, kv := range e.Given {
		key, value, given := strings.Cut(kv, "=")
		if key == "" {
			return nil, fault.Invalid("-e NAME=VALUE, or -e NAME", "-e: one has no name")
		}
		if strings.ContainsRune(kv, 0) {
			return nil, fault.Invalid("", "-e %s: a NUL cannot be in a variable", strings.ReplaceAll(key, "\x00", ""))
		}
		if !given {
			v, ok := here[key]
			if !ok {
				continue // as for env -u: unset here, unset there
			}
			value = v
		}
		out[key] = value
	}
	return out, nil
}

// allowed reports whether the name of a variable matches NAME or PREFIX_* in a list.
func allowed(allow []string, key string) bool {
	for _, a := range allow {
		if prefix, ok := strings.CutSuffix(a, "*"); a == key || ok && prefix != "" && strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}
