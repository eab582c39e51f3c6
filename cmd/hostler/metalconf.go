package main

import (
	"cmp"
	"time"

	"github.com/hostler-project/hostler/config"
)

// metalDirecting is the section [director.metal] of hostler.conf: how images are kept cached on bare-metal nodes. What the strategy takes stands in
// [director.metal.strategy], and what the scout takes in [director.metal.scout].
type metalDirecting struct {
	Scout     string `conf:"scout"`     // a way to look: the NAME of an executable hostler-scout-NAME; "": no images are cached
	Commander string `conf:"commander"` // a way to have it done; "": as Scout
	Strategy  string `conf:"strategy"`  // "": proportional

	PollSpacing      time.Duration `conf:"poll-spacing"`      // between two looks at images and flavors; 0: 120 s
	DirectiveSpacing time.Duration `conf:"directive-spacing"` // between two rounds; 0: 120 s

	CacheLimit  int           `conf:"cache-directive-rate-limit"` // so many images are begun to be written in a period; 0: no limit
	CachePeriod time.Duration `conf:"cache-directive-limiting-period"`
	EjectLimit  int           `conf:"eject-directive-rate-limit"` // so many nodes are begun to be wiped in a period; 0: no limit
	EjectPeriod time.Duration `conf:"eject-directive-limiting-period"`

	PerBMC       int `conf:"per-bmc"` // directives under way at a time that share one; 0: no limit
	PerRack      int `conf:"per-rack"`
	PerConductor int `conf:"per-conductor"`

	Rebalances       int           `conf:"rebalance-max-per-hour"` // so many nodes are ejected in an hour only to even things out; 0: no limit
	Quarantine       int           `conf:"quarantine-after"`       // so many failures in a row; 0: 3; negative: never
	Pause            time.Duration `conf:"failure-pause"`          // after a failure, doubled with each further one; 0: a minute
	Deadline         time.Duration `conf:"deadline"`               // after which a directive under way has failed; 0: 1 h
	MaxEjectFraction float64       `conf:"max-eject-fraction"`     // of the cached nodes, in a round, without confirmation
	DryRun           bool          `conf:"dry-run"`                // do nothing, and say what would be done
	LogStatistics    bool          `conf:"log-statistics"`
}

// readMetalDirecting reads it, with what goes without saying put in.
func readMetalDirecting(cfg *config.Config) (metalDirecting, error) {
	d := metalDirecting{MaxEjectFraction: 0.2, LogStatistics: true}
	settings, at := sectionOf(cfg.Sections["director.metal"])
	err := config.Decode(settings, at, &d)
	d.Commander = cmp.Or(d.Commander, d.Scout)
	return d, configError(err)
}
