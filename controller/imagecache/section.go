package imagecache

import (
	"cmp"
	"time"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
)

// imageCacheSection is the section [director.metal] of hostler.conf: how images are kept cached on
// bare-metal nodes. The strategy's keys are in [director.metal.strategy], and the scout's in
// [director.metal.scout].
type imageCacheSection struct {
	// ironic, or the NAME of an executable hostler-scout-NAME; "": cache no images
	Scout     string `conf:"scout"`
	Commander string `conf:"commander"` // what changes nodes; "": as Scout
	Strategy  string `conf:"strategy"`  // "": proportional

	// pause between two looks at images and flavors; 0: 120 s
	PollSpacing      time.Duration `conf:"poll-spacing"`
	DirectiveSpacing time.Duration `conf:"directive-spacing"` // pause between two rounds; 0: 120 s

	// images begun to be written in a period; 0: no limit
	CacheLimit  int           `conf:"cache-directive-rate-limit"`
	CachePeriod time.Duration `conf:"cache-directive-limiting-period"`
	// nodes begun to be wiped in a period; 0: no limit
	EjectLimit  int           `conf:"eject-directive-rate-limit"`
	EjectPeriod time.Duration `conf:"eject-directive-limiting-period"`

	PerBMC       int `conf:"per-bmc"` // directives under way that share a BMC; 0: no limit
	PerRack      int `conf:"per-rack"`
	PerConductor int `conf:"per-conductor"`

	// nodes ejected in an hour only to balance images; 0: no limit
	Rebalances int `conf:"rebalance-max-per-hour"`
	// failures in a row until a node is left alone; 0: 3; negative: never
	Quarantine int `conf:"quarantine-after"`
	// the pause after a failure, doubled with each further one; 0: a minute
	Pause time.Duration `conf:"failure-pause"`
	// when a directive under way counts as failed; 0: 1 h
	Deadline time.Duration `conf:"deadline"`
	// share of the cached nodes ejected in a round without confirmation
	MaxEjectFraction float64 `conf:"max-eject-fraction"`
	// do nothing, and say what would be done
	DryRun        bool `conf:"dry-run"`
	LogStatistics bool `conf:"log-statistics"`
}

// readSection reads the section, with its defaults.
func readSection(cfg *config.Config) (imageCacheSection, error) {
	d := imageCacheSection{MaxEjectFraction: 0.2, LogStatistics: true}
	settings, at := host.SectionOf(cfg.Sections["director.metal"])
	err := config.Decode(settings, at, &d)
	d.Commander = cmp.Or(d.Commander, d.Scout)
	return d, host.ConfigError(err)
}

// Sections returns the sections of hostler.conf that are read here, as pointers to structs that
// config decodes.
func Sections() map[string]any {
	return map[string]any{"director.metal": new(imageCacheSection), "director.metal.strategy": new(strategySection)}
}
