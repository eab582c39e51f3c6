package controller

import (
	"cmp"
	"time"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/host"
)

// policies returns the director's policy of each source.
func policies(cfg *config.Config) map[string]director.Policy {
	out := map[string]director.Policy{}
	for _, s := range cfg.Sources {
		if s.Err == nil {
			out[s.Name] = director.Policy{Strategy: StrategyOf(s.Strategy, s), Price: s.Price, Budget: s.Budget, DryRun: s.DryRun}
		}
	}
	return out
}

// StrategyOf returns the strategy of a name, with the settings of a source.
func StrategyOf(name string, s *config.Source) director.Strategy {
	schedule := director.Schedule{Zone: cmp.Or(s.TimeZone, time.Local)}
	for _, w := range s.Schedule {
		// it was checked when it was read
		if made, err := director.NewWindow(w.Name, w.Begin, w.End); err == nil {
			made.Reserve, made.Spare = w.Reserve, w.Spare
			schedule.Windows = append(schedule.Windows, made)
		}
	}
	demand := director.Demand{HitRate: s.HitRate}
	switch {
	case name == "schedule":
		return schedule
	case name == "demand" && len(schedule.Windows) > 0:
		return director.Larger{demand, schedule}
	case name == "demand":
		return demand
	}
	return director.Reserve{}
}

// directorSection is the section [director] of hostler.conf.
type directorSection struct {
	// the longest pause between two looks; 0: 10 s
	Tick time.Duration `conf:"tick"`
	// creations and discards of one source at a time; 0: 8
	PerSource   int  `conf:"per-source"`
	PerProvider int  `conf:"per-provider"` // the same for all sources of a type; 0: 32
	DryRun      bool `conf:"dry-run"`      // do nothing, and say what would be done
}

// readDirectorSection reads the section [director].
func readDirectorSection(cfg *config.Config) (d directorSection, err error) {
	err = host.DecodeSection(cfg.Sections["director"], &d)
	return d, err
}

// directorOptions returns the director's options in the configuration. The caller adds Pool, Bell,
// Log and Leads.
func directorOptions(cfg *config.Config) (director.Options, error) {
	d, err := readDirectorSection(cfg)
	return director.Options{Policies: policies(cfg), Tick: d.Tick, DryRun: d.DryRun,
		Limits: director.Limits{PerSource: d.PerSource, PerProvider: d.PerProvider}}, err
}
