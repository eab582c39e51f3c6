package runcmd

import (
	"cmp"
	"time"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/run/runlog"
)

// runSettings are the settings of runs in hostler.conf.
type runSettings struct {
	run     runSection
	results resultsSection
	env     envSection
}

// runSection is [run].
type runSection struct {
	Sync     bool          `conf:"sync"`           // as with --sync
	Keep     time.Duration `conf:"keep"`           // how long records are kept; 0: 30 days
	KeepRuns int           `conf:"keep-runs"`      // how many records; 0: 1000
	KeepSize int64         `conf:"keep-size,size"` // the bytes of all records; 0: 2 GiB
	NoOutput bool          `conf:"no-output"`      // do not record commands' output
}

// resultsSection is [results].
type resultsSection struct {
	JUnit        []string `conf:"junit"`              // as with --junit
	Artifacts    []string `conf:"artifacts"`          // as with --artifact
	ArtifactSize int64    `conf:"artifact-size,size"` // the most bytes of a run; 0: 1 GiB
}

// envSection is [env].
type envSection struct {
	Allow []string `conf:"allow"` // variables that go along: NAME, or PREFIX_*
}

// readRunSettings reads the settings of runs.
func readRunSettings(cfg *config.Config) (s runSettings, err error) {
	for name, to := range map[string]any{"run": &s.run, "results": &s.results, "env": &s.env} {
		section := cfg.Sections[name]
		settings := map[string]string{}
		for key, v := range section {
			settings[key] = v.Text
		}
		position := func(key string) (string, int) { v := section[key]; return v.File, v.Line }
		if e := config.Decode(settings, position, to); e != nil {
			err = cmp.Or(err, host.ConfigError(e))
		}
	}
	return s, err
}

// limits returns which records are kept.
func (s *runSection) limits() runlog.Limits {
	return runlog.Limits{Age: cmp.Or(s.Keep, 30*24*time.Hour), Runs: cmp.Or(s.KeepRuns, 1000), Bytes: cmp.Or(s.KeepSize, 2<<30)}
}
