// Package promise checks whether the software in a partition of a SlapOS node works. It runs the
// promises that software leaves there: executables in etc/promise, and plugins in etc/plugin.
// Plugins are Python modules, which the interpreter of their software release loads. All run as the
// partition's user.
//
// The results are kept in the partition below .slapgrid/promise, in the files that SlapOS's own
// agent keeps there, and in history, a line each. The partition's user may change these files, and
// so forge only that user's own results.
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
	// failures in a row after which an executable's promise is an anomaly
	enough = 3
)

// runner is the program that loads a plugin. It reads a document from its standard input and writes
// one to its standard output.
//
//go:embed runner.py
var runner string

// Config is the input of plugins. Cert and Key are files that the partition's user may read, or "".
type Config struct {
	Master, Computer, Partition, Cert, Key, Version string
	Debug                                           bool
}

// Result is what a promise said last.
type Result struct {
	Title   string // its name without extension, which its files have too
	Name    string
	Path    string
	Kind    Mode
	Failed  bool
	Message string // at most its last 5000 characters
	Date    time.Time
	Took    time.Duration
	Ran     bool // now; else this is of an earlier time, as its period has not passed
}

// Failure is the error of failed promises; it describes the first.
type Failure struct{ Name, Message string }

// Error says it by SlapOS's words, which a master's users know.
func (f *Failure) Error() string {
	return fmt.Sprintf("Promise '%s' failed with output: %s", f.Name, f.Message)
}

// Failed is the error of some results, a *Failure; nil if none failed.
func Failed(results []Result) error {
	for i := range results {
		if results[i].Failed {
			return &Failure{results[i].Name, results[i].Message}
		}
	}
	return nil
}

// AnyNew says whether results are new: some promise was asked now, or there is none any more.
func AnyNew(results []Result) bool {
	return len(results) == 0 || slices.ContainsFunc(results, func(r Result) bool { return r.Ran })
}

// Report is a kind of report to the master.
type Report int

// The reports.
const (
	Nothing Report = iota
	Broken         // the instance has an error
	Well           // it runs
)

// ReportFor chooses the report after the check for anomalies of an instance. access is the last
// status as the master repeats it, and only a change is reported. If it is "" the report is
// always made.
func ReportFor(failed bool, access string) Report {
	known := strings.HasPrefix(access, "#error")
	switch {
	case failed && !known:
		return Broken
	case !failed && (known || access == ""):
		return Well
	}
	return Nothing
}
