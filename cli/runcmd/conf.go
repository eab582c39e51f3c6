package runcmd

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/run/workspace"
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

// syncSection is [sync].
type syncSection struct {
	Exclude []string `conf:"exclude"` // patterns of files not to send, after .hostlerignore
	Include []string `conf:"include"` // patterns of files to send although git ignores them
	// "head" or "full" sends a repository along; "" sends none
	Git   string `conf:"git"`
	Modes string `conf:"modes"` // "x", the default: 0644 or 0755; "full": all permissions

	Copies     int           `conf:"copies"`           // copies on a computer; 0: 50
	CopiesSize int64         `conf:"copies-size,size"` // bytes of all copies; 0: 50 GiB
	CopiesIdle time.Duration `conf:"copies-idle"`      // time without use; 0: 30 days
}

// readSync reads the section [sync].
func readSync(a *cli.App) (s syncSection, err error) {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return s, err
	}
	section := cfg.Sections["sync"]
	settings := map[string]string{}
	for key, v := range section {
		settings[key] = v.Text
	}
	err = config.Decode(settings, func(key string) (string, int) { v := section[key]; return v.File, v.Line }, &s)
	if err == nil && !slices.Contains([]string{"", "x", "full"}, s.Modes) {
		v := section["modes"]
		err = &config.Error{File: v.File, Line: v.Line, Key: v.Key, Msg: fmt.Sprintf("%q is neither x nor full", v.Text)}
	}
	if err == nil && !slices.Contains(histories, s.Git) {
		v := section["git"]
		err = &config.Error{File: v.File, Line: v.Line, Key: v.Key, Msg: fmt.Sprintf("%q is neither head nor full", v.Text)}
	}
	for key, n := range map[string]int64{"copies": int64(s.Copies), "copies_idle": int64(s.CopiesIdle)} {
		if v := section[key]; err == nil && n < 0 {
			err = &config.Error{File: v.File, Line: v.Line, Key: v.Key, Msg: fmt.Sprintf("%q is less than nothing", v.Text)}
		}
	}
	return s, host.ConfigError(err)
}

// limits returns how many unused copies stay.
func (s *syncSection) limits() workspace.Limits {
	return workspace.Limits{Copies: s.Copies, Bytes: s.CopiesSize, Idle: s.CopiesIdle}
}

// Sections are the sections of hostler.conf that runs read, by their names: pointers to structs
// that config decodes.
func Sections() map[string]any {
	return map[string]any{
		"run": new(runSection), "results": new(resultsSection), "env": new(envSection), "sync": new(syncSection),
	}
}
