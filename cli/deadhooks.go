package cli

import (
	"slices"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/host"
)

// WarnOfHooks warns of such files for the named sources; for all without names.
func (a *App) WarnOfHooks(names ...string) {
	cfg, err := a.Host.Configuration()
	if err != nil || a.Quiet || a.Compat {
		return
	}
	for _, s := range cfg.Sources {
		if len(names) > 0 && !slices.Contains(names, s.Name) {
			continue
		}
		for _, line := range host.SkippedHooks(s) {
			_ = term.Printf(a.Err, "%s: warning: %s\n", a.Program, line)
		}
	}
}
