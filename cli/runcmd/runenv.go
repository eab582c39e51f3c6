package runcmd

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
)

// environment is what goes along with a command. local has the caller's own already; elsewhere
// nothing does but what makes programs speak the user's language, what hostler.conf allows, and
// what the options name.
func (o *RunOptions) environment(local bool, env []string) (map[string]string, error) {
	out := map[string]string{}
	here := map[string]string{}
	for _, kv := range env {
		key, value, _ := strings.Cut(kv, "=")
		here[key] = value
		if !local && (key == "CI" || key == "LANG" || strings.HasPrefix(key, "LC_") || allowed(o.allow, key)) {
			out[key] = value
		}
	}
	for key, value := range o.set {
		out[key] = value
	}
	for _, e := range o.env {
		key, value, given := strings.Cut(e, "=")
		if key == "" {
			return nil, fault.Invalid("-e NAME=VALUE, or -e NAME", "-e: one has no name")
		}
		if strings.ContainsRune(e, 0) {
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

// allowed tells whether hostler.conf lets a variable go along: by its name, or PREFIX_*.
func allowed(allow []string, key string) bool {
	for _, a := range allow {
		if prefix, ok := strings.CutSuffix(a, "*"); a == key || ok && prefix != "" && strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// prepareEnv reads what files and secrets say of variables. What they say is in no error.
func (r *runner) prepareEnv(ctx context.Context) error {
	o := r.Opt
	if o.set != nil { // for another part of the same run
		return nil
	}
	o.set, o.allow = map[string]string{}, r.settings.env.Allow
	for _, name := range o.envFiles {
		f, err := os.ReadFile(name)
		if err != nil {
			return fault.Invalid("", "--env-file: %v", err)
		}
		if err := parseEnv(string(f), o.set); err != nil {
			return fault.Invalid("lines of NAME=VALUE; a value may stand in quotes", "--env-file %s: %v", name, err)
		}
	}
	for i, s := range o.secrets {
		name, ref, given := strings.Cut(s, "=")
		switch {
		case name == "":
			return fault.Invalid("--secret NAME=file:PATH", "--secret: the %s has no name", ordinal(i+1))
		case given && !config.IsReference(ref):
			return fault.Invalid(
				"--secret "+name+"=file:PATH, or env:NAME, or command:WORDS",
				"--secret %s: what it is set to is no reference; a value would be seen by everybody on this machine",
				name,
			)
		case !given:
			ref = "env:" + name
		}
		value, err := config.Secret(ctx, ref)
		if err != nil {
			return fault.Invalid("", "--secret %s: %v", name, err)
		}
		if strings.ContainsRune(value, 0) {
			return fault.Invalid("", "--secret %s: a NUL cannot be in a variable", name)
		}
		o.set[name] = value
		o.hide = append(o.hide, value)
	}
	return nil
}

func ordinal(n int) string {
	if n == 1 {
		return "first"
	}
	return fmt.Sprintf("%dth", n)
}

// parseEnv reads lines of NAME=VALUE into a map. A value in single quotes stands for itself, in
// double ones \n, \t, \", \\ and \$ mean what they do everywhere; nothing is expanded, and nothing
// runs. Empty lines and those with # at the beginning say nothing.
func parseEnv(text string, into map[string]string) error {
	for n, line := range strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(name, " \t\"'") || strings.ContainsRune(line, 0) {
			return fmt.Errorf("line %d: is not NAME=VALUE", n+1)
		}
		value = strings.TrimSpace(value)
		if value != "" && (value[0] == '"' || value[0] == '\'') {
			quote, body := value[0], value[1:]
			inner, rest, ok := cutQuoted(body, quote)
			if rest = strings.TrimSpace(rest); !ok || rest != "" && rest[0] != '#' {
				return fmt.Errorf("line %d: the value of %s has a quote that is not closed, or something behind it", n+1, name)
			}
			value = inner
		}
		into[name] = value
	}
	return nil
}

// cutQuoted returns what stands before the closing quote, and what behind it.
func cutQuoted(s string, quote byte) (inner, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == quote:
			return b.String(), s[i+1:], true
		case c == '\\' && quote == '"' && i+1 < len(s):
			i++
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case '"', '\\', '$':
				b.WriteByte(s[i])
			default:
				b.WriteByte('\\')
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}
