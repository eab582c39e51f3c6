package run

import (
	"strings"

	"github.com/hostler-project/hostler/compute/fault"
)

// Environment says which variables a command has beside those that it has anyway.
type Environment struct {
	Allow []string          // names that go along: NAME, or PREFIX_*
	Set   map[string]string // variables with their values
	Given []string          // NAME=VALUE, or NAME: with the value that it has here
	Own   map[string]string // hostler's own
	Hide  []string          // values that are not recorded
}

// For is what goes along with a command. local: it has the caller's variables already. Elsewhere
// nothing goes along but what makes programs speak the user's language, and what is said.
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
				continue // as env -u: what is not set here is not set there
			}
			value = v
		}
		out[key] = value
	}
	return out, nil
}

// allowed reports whether a variable may go along: by its name, or PREFIX_*.
func allowed(allow []string, key string) bool {
	for _, a := range allow {
		if prefix, ok := strings.CutSuffix(a, "*"); a == key || ok && prefix != "" && strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}
