package compute

import "time"

// Facts describe a computer, as it sees itself from inside.
type Facts struct {
	OS     string `json:"os"`               // as Go names it: "linux"
	Arch   string `json:"arch"`             // as Go names it: "amd64"
	Kernel string `json:"kernel,omitempty"` // its release
	// the distribution and its version, "debian 12"; "": unknown
	System   string `json:"system,omitempty"`
	Hostname string `json:"hostname,omitempty"` // its own
	// how many may be used, limits counted; 0: unknown
	Cores int `json:"cores,omitempty"`
	// bytes that may be used, limits counted; 0: unknown
	Memory int64 `json:"memory,omitempty"`
	// bytes of the file system of /; 0: unknown
	Disk int64 `json:"disk,omitempty"`
	// paths of the well-known programs that are there, by name: "git", "python3"
	Tools map[string]string `json:"tools,omitempty"`
}

// Usage is what a computer uses now.
type Usage struct {
	// of all processes since the computer began
	CPU       time.Duration `json:"cpu"`
	Memory    int64         `json:"memory"`              // bytes in use
	Disk      int64         `json:"disk"`                // bytes in use on the file system of /
	Processes int           `json:"processes"`           // how many there are
	OOMKills  int           `json:"oom_kills,omitempty"` // how many were ended for want of memory
}

// Finding is the result of one check of this machine by `hostler doctor`.
type Finding struct {
	// ok, warn (works in part), skip (missing, and not asked for) or fail
	Result string `json:"result"`
	What   string `json:"what"`   // the ability: "sandbox: limits"
	Detail string `json:"detail"` // what works; or what does not, and why
	Hint   string `json:"hint,omitempty"`
}
