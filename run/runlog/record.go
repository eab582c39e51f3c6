package runlog

import "time"

// State says how far a run has come.
type State string

// The states of a run.
const (
	Running State = "running"
	Ended   State = "ended" // Exit says how
	// its process ended before it could say how; seen by who reads the record
	Lost State = "lost"
	Held State = "held" // it goes on without the process that began it
)

// Record is what is known of a run. Names are of variables, never their values.
type Record struct {
	ID        string   `json:"id"`
	State     State    `json:"state"`
	Verb      string   `json:"verb"`             // "run", "shell"
	Target    string   `json:"target,omitempty"` // the NAME that was asked for; "": none was
	Args      []string `json:"args"`             // the command; empty: a shell
	Flags     []string `json:"flags,omitempty"`  // of the command line, without values of variables
	Directory string   `json:"directory,omitempty"`
	Owner     string   `json:"owner,omitempty"`
	Source    string   `json:"source,omitempty"`
	Instance  string   `json:"instance,omitempty"`
	Lease     string   `json:"lease,omitempty"`
	Name      string   `json:"name,omitempty"` // the lease's
	Kept      bool     `json:"kept,omitempty"` // the lease was not given back
	// whoever records the end of a run that is held gives the lease back
	GiveBack bool `json:"give_back,omitempty"`

	Head string `json:"head,omitempty"` // the commit that was checked out in Directory
	// whether the tree differed from it; nil: nobody looked
	Dirty   *bool    `json:"dirty,omitempty"`
	Tree    string   `json:"tree,omitempty"`    // the id of what was sent
	Env     []string `json:"env,omitempty"`     // names of variables that went along
	Key     string   `json:"key,omitempty"`     // by which the same run is not run twice
	Secrets []string `json:"secrets,omitempty"` // NAME or NAME=REFERENCE, as they were asked for

	Started time.Time  `json:"started"`
	Ended   *time.Time `json:"ended,omitempty"`
	Phases  Phases     `json:"phases"`
	Bytes   Bytes      `json:"bytes"`

	Begun  bool   `json:"begun"`                 // the command was started
	Exit   *int   `json:"exit_status,omitempty"` // of run; nil: it has not ended
	Signal string `json:"signal,omitempty"`
	Reason string `json:"reason,omitempty"`
	Kind   string `json:"kind,omitempty"`  // of the error
	Error  string `json:"error,omitempty"` // where it was not the command's own status

	Tests     *Tests     `json:"tests,omitempty"`
	Artifacts []Artifact `json:"artifacts,omitempty"`
	Warnings  []string   `json:"warnings,omitempty"` // of collecting what it made

	Parent  string `json:"parent,omitempty"` // the run that this is a shard of
	Shard   int    `json:"shard,omitempty"`  // from 1
	Shards  int    `json:"shards,omitempty"`
	Process int    `json:"process"` // that ran it
	Version string `json:"version"` // of hostler
}

// Phases are the seconds that each part of a run took; those that it had not are 0.
type Phases struct {
	Queue   float64 `json:"queue"`   // waiting for its turn
	Acquire float64 `json:"acquire"` // being given an instance, the queue apart
	Connect float64 `json:"connect"`
	Scan    float64 `json:"scan"` // of the tree
	Send    float64 `json:"send"` // what of the tree was missing there
	Command float64 `json:"command"`
	Collect float64 `json:"collect"`
	Release float64 `json:"release"`
}

// Bytes counts what crossed.
type Bytes struct {
	Sent      int64 `json:"sent"` // of the tree
	Stdout    int64 `json:"stdout"`
	Stderr    int64 `json:"stderr"`
	Collected int64 `json:"collected"` // files that were brought back
}

// Tests is what reports of tests say together.
type Tests struct {
	Files    int       `json:"files"` // that were read
	Tests    int       `json:"tests"`
	Failures int       `json:"failures"`
	Errors   int       `json:"errors"`
	Skipped  int       `json:"skipped"`
	Seconds  float64   `json:"seconds"`
	Failed   []Failure `json:"failed,omitempty"` // the first of them
}

// Failure is a test that failed.
type Failure struct {
	Name    string `json:"name"`
	Message string `json:"message,omitempty"` // its first line
}

// Artifact is a file that was brought back.
type Artifact struct {
	Path  string `json:"path"` // there, below the run's directory
	File  string `json:"file"` // here
	Bytes int64  `json:"bytes"`
}
