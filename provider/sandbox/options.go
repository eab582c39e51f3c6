package sandbox

import (
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/remote/agent"
)

// Options are the options of a source of type sandbox.
type Options struct {
	// host (this machine's own root), the absolute path of a directory or an archive, or an image's
	// name; "": host
	Image string  `conf:"image"`
	Upper string  `conf:"upper"` // ram or disk: where writes go; "": ram
	Cores float64 `conf:"cores"` // of processor time, at most; 0: all
	// bytes, at most, with the writes of upper = ram; 0: no limit
	Memory int64 `conf:"memory,size"`
	// bytes that may be written, at most; 0: in memory a quarter of the machine's and half of the
	// sandbox's, else no limit
	Disk int64 `conf:"disk,size"`
	// processes and threads, at most; 0: 16384, or a tenth of the machine's
	PIDs    int    `conf:"pids,some"`
	Network string `conf:"network"` // none or nat; "": nat where it can be, else none
	// destinations that it may connect to: words, names, addresses and ranges as package egress has
	// them; none: the internet
	Egress []string `conf:"egress"`
	Ports  []string `conf:"ports"` // [ADDRESS:]PORT:PORT[/udp] of this machine, forwarded into it
	// PATH[:PATH-INSIDE][:ro|:rw], read-only unless it says otherwise
	Mounts []string `conf:"mounts"`
	// names at the top of writable shares that may be written although programs of the host run
	// their content: .git
	Writes []string `conf:"writable"`
	// a mount as one of Mounts, refused where something hidden is in it
	Tree string   `conf:"tree"`
	Hide []string `conf:"hide"` // more paths of the host that are not there inside
	Show []string `conf:"show"` // paths that are, though they would be hidden
	// the user that commands run as; "": the image's, else root of the sandbox
	User string `conf:"user"`
	// run commands as arguments of the image's entry point; the image's own command replaces an
	// empty one
	Entry bool `conf:"entrypoint"`
	PTYs  int  `conf:"ptys,some"` // terminals, at most; 0: 64
	// allow contexts of asynchronous input and output (io_setup)
	AIO     bool `conf:"aio"`
	Nesting bool `conf:"nesting"` // allow name spaces and mounts inside

	Source       string // the source's name
	Installation string // the installation's id
	Dir          string // where the instances are; required
	// the directory of the networks of all sources' sandboxes; "": sandboxes have no network
	NetworkDir string
	Home       string   // the caller's home directory; "": none
	State      []string // hostler's own directories, which no sandbox sees
	// the store of images; required for any but the host's root and directories
	Images      string
	ImageLimits image.Limits   // of images that are unpacked there
	Registry    image.Registry // knows registries of images
	Others      *image.Others  // how images that requests name are fetched; nil: as the owner's
	// a directory of the user's in memory, for the layers that hide secrets; "": one in /dev/shm
	Runtime string
	Agent   agent.Finder // the guest side; required
	// a command that runs network.Answer for NetworkDir, for egress with names; none: names are
	// refused
	Answers []string

	Without []string // defences that are off: for tests alone, and no key
}
