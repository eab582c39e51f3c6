package cli

import (
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/check"
)

// Faults adds to the engine's sources what is wrong with their configuration here. The engine finds
// some of it only when it makes something.
func Faults(a *App, all []compute.SourceStatus) {
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
