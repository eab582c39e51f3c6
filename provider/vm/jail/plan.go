package jail

// Word is the agent's verb.
const Word = "jail"

// The descriptors of the process: its plan, and the first of those that qemu gets.
const (
	planFD  = 3
	FirstFD = 4
)

// Mount is a file, directory or device of the host that is at the same place inside.
type Mount struct {
	Path  string
	Write bool `json:",omitempty"`
}

// Plan is what the process becomes.
type Plan struct {
	Program string   // the path on the host and inside
	Args    []string // with the program's name before them
	Env     []string
	Files   int // how many descriptors it gets, from FirstFD on
	// a directory to mount the new root on; "": the host's files stay in sight
	Scratch   string
	Shown     []Mount  // what is in the new root
	Hostname  string   // "": as the host's
	User      int      // of the host, with a group of the same number; 0: as it is
	Devices   []string // of the host, which the user may use
	OpenFiles uint64   // at most
}
