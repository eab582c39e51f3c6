// Package promise checks whether what runs in a partition of a SlapOS node does what it should: by
// the promises that software leaves there, executables in etc/promise and plugins in etc/plugin,
// which are Python modules that the interpreter of their software release loads. All of them run as
// the partition's user.
//
// What they said is kept in the partition below .slapgrid/promise, in the files that SlapOS's own
// agent keeps there, and history, a line for each result. The partition's user may write there what
// he likes, and so changes what is known of himself only.
package promise

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Mode says what promises are asked.
type Mode string

// The modes, by the words that stand in the files of results.
const (
	Test Mode = "Test Result" // whether all is well now: after an instance was processed
	// whether something is wrong for a while: as long as an instance needs no processing
	Anomaly Mode = "Anomaly Result"
)

const (
	defaultTimeout = 20 * time.Second
	defaultPeriod  = 2 * time.Minute
	polite         = time.Second // from being asked to end to being killed

	atOnce     = 4    // promises; most of them wait for an answer
	maxMessage = 5000 // characters, the last ones
	maxNames   = 1000 // promises of a kind
	// so many results in turn must have failed until an executable's failing is an anomaly
	enough = 3
)

// runner is the program that loads a plugin. It reads a document from its standard input and writes
// one to its standard output.
//
//go:embed runner.py
var runner string

// Config is what plugins are told. Cert and Key are files that the partition's user may read, or
// "".
type Config struct {
	Master, Computer, Partition, Cert, Key, Version string
	Debug                                           bool
}

// Result is what a promise said last.
type Result struct {
	Title   string // its name without extension, by which its files are called
	Name    string
	Path    string
	Kind    Mode
	Failed  bool
	Message string // at most its last 5000 characters
	Date    time.Time
	Took    time.Duration
	Ran     bool // now; else this is of an earlier time, as its period has not passed
}

// Failure is the error of promises that failed: it speaks of the first.
type Failure struct{ Name, Message string }

// Error says it by SlapOS's words, which a master's users know.
func (f *Failure) Error() string {
	return fmt.Sprintf("Promise '%s' failed with output: %s", f.Name, f.Message)
}

// Failed is the error of some results, a *Failure; nil where none failed.
func Failed(results []Result) error {
	for i := range results {
		if results[i].Failed {
			return &Failure{results[i].Name, results[i].Message}
		}
	}
	return nil
}

// News says whether results are more than what was known before: some promise was asked now, or
// there is none any more.
func News(results []Result) bool {
	return len(results) == 0 || slices.ContainsFunc(results, func(r Result) bool { return r.Ran })
}

// Report is what a master is to hear.
type Report int

// The reports.
const (
	Nothing Report = iota
	Broken         // the instance has an error
	Well           // it runs
)

// Tell says what a master is to hear after the anomalies of an instance were looked for: that
// something changed. access is what the master says it heard of the instance last; "" is a master
// that does not say.
func Tell(failed bool, access string) Report {
	known := strings.HasPrefix(access, "#error")
	switch {
	case failed && !known:
		return Broken
	case !failed && (known || access == ""):
		return Well
	}
	return Nothing
}
