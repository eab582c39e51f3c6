package sandbox

import (
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/remote/agent"
)

// Options of a source of type sandbox.
type Options struct {
	Image   string   `conf:"image"`       // host (this machine's own root), an absolute path of a directory or an archive, or what an image is called; "": host
	Upper   string   `conf:"upper"`       // ram or disk: where what is written goes; "": ram
	Cores   float64  `conf:"cores"`       // of processor time, at most; 0: all
	Memory  int64    `conf:"memory,size"` // bytes, at most, with what is written to upper = ram; 0: no limit
	Disk    int64    `conf:"disk,size"`   // bytes that may be written, at most; 0: in memory a quarter of the machine's and half of the sandbox's, else no limit
	PIDs    int      `conf:"pids,some"`   // processes and threads, at most; 0: 16384, or a tenth of the machine's
	Network string   `conf:"network"`     // none or nat; "": nat where it can be, else none
	Egress  []string `conf:"egress"`      // where it may go: words, names, addresses and ranges as package egress has them; none: the internet
	Ports   []string `conf:"ports"`       // [ADDRESS:]PORT:PORT[/udp] of this machine that lead in
	Mounts  []string `conf:"mounts"`      // PATH[:PATH-INSIDE][:ro|:rw], read-only unless it says otherwise
	Writes  []string `conf:"writable"`    // names at the top of what is shared to be written to that may be written though programs of the host run them: .git
	Tree    string   `conf:"tree"`        // as one of Mounts, and refused where something is in it that is hidden
	Hide    []string `conf:"hide"`        // more paths of the host that are not there inside
	Show    []string `conf:"show"`        // paths that are, though they would be hidden
	User    string   `conf:"user"`        // whom commands run as; "": the image's, else root of the sandbox
	Entry   bool     `conf:"entrypoint"`  // commands are the arguments of the image's entry point, and its own command takes the place of none
	PTYs    int      `conf:"ptys,some"`   // terminals, at most; 0: 64
	AIO     bool     `conf:"aio"`         // contexts of asynchronous input and output (io_setup) may be made
	Nesting bool     `conf:"nesting"`     // name spaces and mounts are allowed inside

	Source       string        // the source's name
	Installation string        // the installation's id
	Dir          string        // where the instances are; required
	NetworkDir   string        // what is kept of the networks of all sources' sandboxes; "": they have none
	Home         string        // the caller's; "": none
	State        []string      // hostler's own directories, which no sandbox sees
	Images       string        // the store of images; required for any but the host's root and directories
	ImageLimits  image.Limits  // of images that are unpacked there
	Others       *image.Others // how images are fetched that requests name; nil: as the owner's
	Runtime      string        // a directory of the user's in memory, for what hides secrets; "": one in /dev/shm
	Agent        agent.Finder  // the guest side; required
	Answers      []string      // a command that runs network.Answer for NetworkDir, for egress with names; none: it is refused

	Without []string // defences that are off: for tests alone, and no key
}
