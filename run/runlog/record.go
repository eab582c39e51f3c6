package runlog

import "time"

// State says how far a run has come.
type State string

// The states of a run.
const (
	Running State = "running"
	Ended   State = "ended" // Exit says with which status
	// its process ended before it could record the end; set when the record is read
	Lost State = "lost"
	Held State = "held" // it goes on without the process that began it
)

// Record is what is known of a run. It has names of variables, but never values.
type Record struct {
	ID        string   `json:"id"`
	State     State    `json:"state"`
	Verb      string   `json:"verb"`             // "run", "shell"
	Target    string   `json:"target,omitempty"` // the NAME that was asked for; "": none was
	Args      []string `json:"args"`             // the command; empty for a shell
	Flags     []string `json:"flags,omitempty"`  // of the command line, without variables' values
	Directory string   `json:"directory,omitempty"`
	Owner     string   `json:"owner,omitempty"`
	Source    string   `json:"source,omitempty"`
	Instance  string   `json:"instance,omitempty"`
	Lease     string   `json:"lease,omitempty"`
	Name      string   `json:"name,omitempty"` // of the lease
	Kept      bool     `json:"kept,omitempty"` // the lease was kept after the run
	// the process that records the end of a held run releases the lease
	GiveBack bool `json:"give_back,omitempty"`

	Head string `json:"head,omitempty"` // the commit that was checked out in Directory
	// whether the tree differed from Head; nil if unknown
	Dirty   *bool    `json:"dirty,omitempty"`
	Tree    string   `json:"tree,omitempty"`    // the id of the tree that was sent
	Env     []string `json:"env,omitempty"`     // the names of variables that went along
	Key     string   `json:"key,omitempty"`     // a caller's key: the run begins once
	Secrets []string `json:"secrets,omitempty"` // NAME or NAME=REFERENCE, as requested

	Started time.Time  `json:"started"`
	Ended   *time.Time `json:"ended,omitempty"`
	Phases  Phases     `json:"phases"`
	Bytes   Bytes      `json:"bytes"`

	Begun  bool   `json:"begun"`                 // the command was started
	Exit   *int   `json:"exit_status,omitempty"` // of the run; nil until it ends
	Signal string `json:"signal,omitempty"`
	Reason string `json:"reason,omitempty"`
	Kind   string `json:"kind,omitempty"`  // the kind of the error
	Error  string `json:"error,omitempty"` // set if the error is not the command's own status

	Tests     *Tests     `json:"tests,omitempty"`
	Artifacts []Artifact `json:"artifacts,omitempty"`
	Warnings  []string   `json:"warnings,omitempty"` // from collecting results

	Parent  string `json:"parent,omitempty"` // the run that this one is a shard of
	Shard   int    `json:"shard,omitempty"`  // from 1
	Shards  int    `json:"shards,omitempty"`
	Process int    `json:"process"` // the id of the process that ran it
	Version string `json:"version"` // of hostler
}

// Phases are the seconds that each part of a run took. A part that did not happen has 0.
type Phases struct {
	Queue   float64 `json:"queue"`   // in the queue
	Acquire float64 `json:"acquire"` // getting an instance, without the queue
	Connect float64 `json:"connect"`
	Scan    float64 `json:"scan"` // of the tree
	Send    float64 `json:"send"` // sending what the instance lacked of the tree
	Command float64 `json:"command"`
	Collect float64 `json:"collect"`
	Release float64 `json:"release"`
}

// Bytes counts the transferred bytes.
type Bytes struct {
	Sent      int64 `json:"sent"` // of the tree
	Stdout    int64 `json:"stdout"`
	Stderr    int64 `json:"stderr"`
	Collected int64 `json:"collected"` // of files that were brought back
}

// Tests sums up the reports of tests.
type Tests struct {
	Files    int       `json:"files"` // reports that were read
	Tests    int       `json:"tests"`
	Failures int       `json:"failures"`
	Errors   int       `json:"errors"`
	Skipped  int       `json:"skipped"`
	Seconds  float64   `json:"seconds"`
	Failed   []Failure `json:"failed,omitempty"` // the first ones
}

// Failure is a test that failed.
type Failure struct {
	Name    string `json:"name"`
	Message string `json:"message,omitempty"` // the first line
}

// Artifact is a file that was brought back.
type Artifact struct {
	Path  string `json:"path"` // on the instance, below the run's directory
	File  string `json:"file"` // the local file
	Bytes int64  `json:"bytes"`
}
