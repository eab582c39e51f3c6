package cli

import (
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/check"
)

// warnOfRoot says once that $HOSTLER_CONFIG leads nowhere: its sources are missed by every command.
func warnOfRoot(a *App) {
	cfg := a.Host.Config()
	if a.warned || cfg == nil || a.Quiet || a.Compat {
		return
	}
	a.warned = true
	for _, r := range cfg.Roots {
		if r.Kind == "env" && !r.Exists {
			a.Warn("$HOSTLER_CONFIG names %s, and there is no such directory", r.Path)
		}
	}
}

// FaultNote says for a table what is wrong with the configuration of a source here; "": nothing.
func FaultNote(a *App, source string) string {
	cfg := a.Host.Config()
	if cfg == nil || a.Elsewhere() {
		return ""
	}
	s, err := cfg.Source(source)
	if err != nil {
		return ""
	}
	return term.Note(host.ConfigError(check.FaultOf(s)))
}

// Faults adds to the engine's sources what is wrong with their configuration here. The engine finds
// some of it only when it makes something.
func Faults(a *App, all []inventory.SourceStatus) {
	cfg := a.Host.Config()
	if cfg == nil || a.Elsewhere() {
		return
	}
	for i := range all {
		s, err := cfg.Source(all[i].Name)
		if err == nil && all[i].Broken == nil && !all[i].Orphaned {
			all[i].Broken = host.ConfigError(check.FaultOf(s))
		}
	}
}
