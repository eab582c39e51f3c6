package exec

import "time"

// Options of a source whose type is an outside executable's. Which keys it has is the executable's
// affair: main hands them all over as Settings.
type Options struct {
	Type     string            // the source's type: the executable is hostler-source-TYPE on PATH
	Path     string            // the executable itself, in place of looking on PATH; "": look
	Settings map[string]string // the source's keys and values, secrets resolved
	Secrets  []string          // values that must not show in errors
	Timeout  time.Duration     // of one call; 0: 10 minutes

	Source       string // the source's name
	Installation string // the installation's id
	Dir          string // the source's own directory, which the executable may use too
}
