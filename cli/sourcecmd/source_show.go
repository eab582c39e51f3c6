package sourcecmd

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/check"
	"github.com/hostler-project/hostler/host/hook"
)

// sourceShow prints a source and all its keys.
func sourceShow(a *cli.App, ctx context.Context, name string) error {
	if far, err := elsewhere(a, ctx); err != nil {
		return err
	} else if far {
		return showFar(a, ctx, name)
	}
	s, err := a.Configured(name)
	if err != nil {
		return err
	}
	v := sourceDetail{
		configuredView: configuredView{s.Name, s.Type, s.File, s.Applied, append([]string{}, s.Shadowed...), term.TextOf(check.FaultOf(s))},
		Reserve:        s.Reserve, Spare: s.Spare, Max: s.Maximum, Concurrency: s.Concurrency, Digest: s.Digest, Sources: s.Sources,
		Keys: map[string]string{}, Hooks: s.Hooks,
	}
	for key, value := range s.Values {
		v.Keys[key] = config.Shown(key, value.Text)
	}
	if a.JSON {
		return a.PrintJSON(v)
	}
	for _, line := range check.Oddities(s) {
		if err := term.Printf(a.Err, "%s: warning: %s\n", a.Program, line); err != nil {
			return err
		}
	}
	w := a.Out
	file := s.File
	if s.Applied {
		file = "applied, and shown in " + s.File
	}
	for _, line := range [][2]string{
		{"source", s.Name}, {"type", s.Type}, {"file", file}, {"error", v.Error},
		{"shadows", strings.Join(s.Shadowed, ", ")}, {"digest", s.Digest},
	} {
		if line[1] != "" {
			if err := term.Printf(w, "%-9s %s\n", line[0]+":", term.Line(line[1])); err != nil {
				return err
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(v.Keys)) {
		if err := term.Printf(w, "  %s = %s\n", s.Values[key].Key, term.Line(v.Keys[key])); err != nil {
			return err
		}
	}
	for _, event := range config.Events {
		if err := showHooks(a, event, s.Hooks[event]); err != nil {
			return err
		}
	}
	return host.ConfigError(check.FaultOf(s))
}

// showHooks lists what a hook directory would run, and files in it that look like hooks but will
// not run.
func showHooks(a *cli.App, event, dir string) error {
	if dir == "" {
		return nil
	}
	names, skipped, err := hook.List(dir)
	if err != nil {
		return term.Printf(a.Out, "%s: %s\n", event, term.Line(err.Error()))
	}
	if err := term.Printf(a.Out, "%-9s %s\n", event+":", term.Line(strings.Join(names, " "))); err != nil {
		return err
	}
	for _, s := range skipped {
		if s.Warn {
			if err := term.Printf(a.Out, "          %s is not run: %s\n", term.Line(s.Name), s.Why); err != nil {
				return err
			}
		}
	}
	return nil
}

// sourceDetail is what `source show --json` prints; values that could be secrets are not in it.
type sourceDetail struct {
	configuredView
	Reserve     int               `json:"reserve"`
	Spare       int               `json:"spare"`
	Max         int               `json:"max"`
	Concurrency int               `json:"concurrency"`
	Digest      string            `json:"digest"`
	Sources     []string          `json:"sources,omitempty"`
	Keys        map[string]string `json:"keys"`
	Hooks       map[string]string `json:"hooks"`
}
