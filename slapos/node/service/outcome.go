package service

// InstanceOptions say how a pass over instances is made.
type InstanceOptions struct {
	Only               []string // partitions; none: all
	Force, Stop, Debug bool
}

// InstanceOutcome is what came of a pass over instances.
type InstanceOutcome struct {
	Report string // of what failed; "": nothing did
	Status int    // the exit status
}

// SoftwareOptions say how a pass over releases is made.
type SoftwareOptions struct {
	Debug, Collect, Force bool
	Only                  []string // URLs, or the names of their directories; none: all
}

// A Release is a release of this computer after a pass.
type Release struct {
	URL       string `json:"release"`
	State     string `json:"state"` // wanted
	Directory string `json:"directory"`
	Completed bool   `json:"completed"`
	Error     string `json:"error,omitempty"`
}

// FailedRelease is a release that is not as it is wanted.
type FailedRelease struct {
	URL  string
	Text string // of the error, in short
	Err  error
}

// PromiseFailure is what the promises of a partition came to.
type PromiseFailure struct {
	Partition, Type string
	Err             error
}

// A Step is what a pass would do with a release or a partition.
type Step struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Wanted string `json:"wanted"`
	Action string `json:"action"`
	Reason string `json:"reason"`
	Title  string `json:"title,omitempty"`
}
