package controller

import (
	"cmp"
	"time"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/host"
)

// policies are what the sources' configuration says to a director.
func policies(cfg *config.Config) map[string]director.Policy {
	out := map[string]director.Policy{}
	for _, s := range cfg.Sources {
		if s.Err == nil {
			out[s.Name] = director.Policy{Strategy: StrategyOf(s.Strategy, s), Price: s.Price, Budget: s.Budget, DryRun: s.DryRun}
		}
	}
	return out
}

// StrategyOf makes the strategy of a name with a source's settings.
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

// directing is the section [director] of hostler.conf.
type directing struct {
	// between two looks at which nothing has changed; 0: 10 s
	Tick time.Duration `conf:"tick"`
	// creations, and discards, at a time of a source; 0: 8
	PerSource   int  `conf:"per-source"`
	PerProvider int  `conf:"per-provider"` // and of all sources of a type; 0: 32
	DryRun      bool `conf:"dry-run"`      // do nothing, and say what would be done
}

// readDirecting reads it.
func readDirecting(cfg *config.Config) (d directing, err error) {
	section := cfg.Sections["director"]
	settings := map[string]string{}
	for key, v := range section {
		settings[key] = v.Text
	}
	err = config.Decode(settings, func(key string) (string, int) { v := section[key]; return v.File, v.Line }, &d)
	return d, host.ConfigError(err)
}

// DirectorOptions is all that the configuration says to a director; the caller puts in what it
// works on, its bell and whom it tells.
func DirectorOptions(cfg *config.Config) (director.Options, error) {
	d, err := readDirecting(cfg)
	return director.Options{Policies: policies(cfg), Tick: d.Tick, DryRun: d.DryRun,
		Limits: director.Limits{PerSource: d.PerSource, PerProvider: d.PerProvider}}, err
}
