package controller

import (
	"cmp"
	"time"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
)

// metalDirecting is the section [director.metal] of hostler.conf: how images are kept cached on
// bare-metal nodes. What the strategy takes stands in [director.metal.strategy], and what the scout
// takes in [director.metal.scout].
type metalDirecting struct {
	// a way to look: the NAME of an executable hostler-scout-NAME; "": no images are cached
	Scout     string `conf:"scout"`
	Commander string `conf:"commander"` // a way to have it done; "": as Scout
	Strategy  string `conf:"strategy"`  // "": proportional

	// between two looks at images and flavors; 0: 120 s
	PollSpacing      time.Duration `conf:"poll-spacing"`
	DirectiveSpacing time.Duration `conf:"directive-spacing"` // between two rounds; 0: 120 s

	// so many images are begun to be written in a period; 0: no limit
	CacheLimit  int           `conf:"cache-directive-rate-limit"`
	CachePeriod time.Duration `conf:"cache-directive-limiting-period"`
	// so many nodes are begun to be wiped in a period; 0: no limit
	EjectLimit  int           `conf:"eject-directive-rate-limit"`
	EjectPeriod time.Duration `conf:"eject-directive-limiting-period"`

	PerBMC       int `conf:"per-bmc"` // directives under way at a time that share one; 0: no limit
	PerRack      int `conf:"per-rack"`
	PerConductor int `conf:"per-conductor"`

	// so many nodes are ejected in an hour only to even things out; 0: no limit
	Rebalances int `conf:"rebalance-max-per-hour"`
	// so many failures in a row; 0: 3; negative: never
	Quarantine int `conf:"quarantine-after"`
	// after a failure, doubled with each further one; 0: a minute
	Pause time.Duration `conf:"failure-pause"`
	// after which a directive under way has failed; 0: 1 h
	Deadline time.Duration `conf:"deadline"`
	// of the cached nodes, in a round, without confirmation
	MaxEjectFraction float64 `conf:"max-eject-fraction"`
	// do nothing, and say what would be done
	DryRun        bool `conf:"dry-run"`
	LogStatistics bool `conf:"log-statistics"`
}

// readMetalDirecting reads it, with what goes without saying put in.
func readMetalDirecting(cfg *config.Config) (metalDirecting, error) {
	d := metalDirecting{MaxEjectFraction: 0.2, LogStatistics: true}
	settings, at := sectionOf(cfg.Sections["director.metal"])
	err := config.Decode(settings, at, &d)
	d.Commander = cmp.Or(d.Commander, d.Scout)
	return d, host.ConfigError(err)
}
