package sandbox

import (
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/remote/agent"
)

// Options of a source of type sandbox.
type Options struct {
	// host (this machine's own root), an absolute path of a directory or an archive, or what an
	// image is called; "": host
	Image string  `conf:"image"`
	Upper string  `conf:"upper"` // ram or disk: where what is written goes; "": ram
	Cores float64 `conf:"cores"` // of processor time, at most; 0: all
	// bytes, at most, with what is written to upper = ram; 0: no limit
	Memory int64 `conf:"memory,size"`
	// bytes that may be written, at most; 0: in memory a quarter of the machine's and half of the
	// sandbox's, else no limit
	Disk int64 `conf:"disk,size"`
	// processes and threads, at most; 0: 16384, or a tenth of the machine's
	PIDs    int    `conf:"pids,some"`
	Network string `conf:"network"` // none or nat; "": nat where it can be, else none
	// where it may go: words, names, addresses and ranges as package egress has them; none: the
	// internet
	Egress []string `conf:"egress"`
	Ports  []string `conf:"ports"` // [ADDRESS:]PORT:PORT[/udp] of this machine that lead in
	// PATH[:PATH-INSIDE][:ro|:rw], read-only unless it says otherwise
	Mounts []string `conf:"mounts"`
	// names at the top of what is shared to be written to that may be written though programs of
	// the host run them: .git
	Writes []string `conf:"writable"`
	// as one of Mounts, and refused where something is in it that is hidden
	Tree string   `conf:"tree"`
	Hide []string `conf:"hide"` // more paths of the host that are not there inside
	Show []string `conf:"show"` // paths that are, though they would be hidden
	// whom commands run as; "": the image's, else root of the sandbox
	User string `conf:"user"`
	// commands are the arguments of the image's entry point, and its own command takes the place of
	// none
	Entry bool `conf:"entrypoint"`
	PTYs  int  `conf:"ptys,some"` // terminals, at most; 0: 64
	// contexts of asynchronous input and output (io_setup) may be made
	AIO     bool `conf:"aio"`
	Nesting bool `conf:"nesting"` // name spaces and mounts are allowed inside

	Source       string // the source's name
	Installation string // the installation's id
	Dir          string // where the instances are; required
	// what is kept of the networks of all sources' sandboxes; "": they have none
	NetworkDir string
	Home       string   // the caller's; "": none
	State      []string // hostler's own directories, which no sandbox sees
	// the store of images; required for any but the host's root and directories
	Images      string
	ImageLimits image.Limits  // of images that are unpacked there
	Others      *image.Others // how images are fetched that requests name; nil: as the owner's
	// a directory of the user's in memory, for what hides secrets; "": one in /dev/shm
	Runtime string
	Agent   agent.Finder // the guest side; required
	// a command that runs network.Answer for NetworkDir, for egress with names; none: it is refused
	Answers []string

	Without []string // defences that are off: for tests alone, and no key
}
