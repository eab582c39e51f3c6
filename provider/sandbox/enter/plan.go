package enter

// The descriptors that the first process is born with.
const (
	ControlFD = 3 // a seqpacket socket: the plan with its descriptors comes in, an Answer goes out
	ListenFD  = 4 // the listening socket to serve on
	ProgramFD = 5 // its own program, not needed any more
	FirstFD   = 6 // what else there is, if there is: held open as long as it lives
)

// MaxPlan is the largest plan, in bytes.
const MaxPlan = 128 << 10

// Plan says what a sandbox looks like from inside.
type Plan struct {
	Hostname string            `json:"hostname"`
	Scratch  string            `json:"scratch"`           // a directory of the host's to mount on, out of sight of all others
	Size     int64             `json:"size"`              // bytes that may be written to the root; 0: no limit of ours
	Disk     int               `json:"disk,omitempty"`    // descriptor of the directory that what is written goes to; 0: to memory
	Pieces   []Piece           `json:"pieces"`            // what the root is made of, in order
	Files    map[string]string `json:"files,omitempty"`   // contents of files in it that are the sandbox's own, by path
	Shm      int64             `json:"shm"`               // bytes of /dev, with /dev/shm
	Env      map[string]string `json:"env,omitempty"`     // of every command
	Dir      string            `json:"dir,omitempty"`     // where commands start
	User     string            `json:"user,omitempty"`    // whom commands run as; "": the root of the sandbox
	NoFile   uint64            `json:"nofile,omitempty"`  // most open files of a process; 0: as it is
	NProc    uint64            `json:"nproc,omitempty"`   // most processes, where no control group counts them; 0: as it is
	Nesting  bool              `json:"nesting,omitempty"` // name spaces and mounts of the user's own are allowed inside
	Group    int               `json:"group,omitempty"`   // descriptor of the sandbox's control group, for those of its runs; 0: none
	OOM      int               `json:"oom,omitempty"`     // descriptor of the file that counts what was killed for want of memory; 0: none
	Without  []string          `json:"without,omitempty"` // defences that are off; tests alone ask for that
}

// Piece is a part of the root.
type Piece struct {
	At       string `json:"at"`                 // where, from the new root
	Kind     Kind   `json:"kind"`               // what
	Layers   []Tree `json:"layers,omitempty"`   // of an overlay: the top first; of a bind: one
	Writable bool   `json:"writable,omitempty"` // bind
	Target   string `json:"target,omitempty"`   // link
	Mode     uint32 `json:"mode,omitempty"`     // dir
	Optional bool   `json:"optional,omitempty"` // where it cannot be had, an empty directory will do
}

// Kind is a kind of Piece.
type Kind string

// The kinds of Piece.
const (
	Overlay Kind = "overlay" // layers with a private one for what is written
	Bind    Kind = "bind"    // a tree as it is
	Dir     Kind = "dir"     // an empty directory
	Link    Kind = "link"    // a symbolic link
)

// Tree is a directory or file of the host's.
type Tree struct {
	FD   int    `json:"fd,omitempty"`   // a mount of it that came with the plan, counted from 1; 0: Path
	Path string `json:"path,omitempty"` // of the host's
}

// Answer is what the first process says when its plan is done, or cannot be.
type Answer struct {
	Step  string `json:"step,omitempty"`  // what failed
	Error string `json:"error,omitempty"` // why; "": the sandbox is ready
	Errno int    `json:"errno,omitempty"` // the kernel's word for it; 0: not the kernel's
}
