package apiprocess

import (
	"encoding/json"
	"net/http"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/api"
)

// Subcommand is the program's hidden argument that makes it the API process.
const Subcommand = "api-process"

// socketFD is the descriptor of the API process by which it is handed sockets.
const socketFD = 3

// setup is what the engine tells the API process when it starts, on its standard input. The end of
// that input tells it to end.
type setup struct {
	Version   string
	Listeners int
	TLS       bool
	Slapos    bool // the controller is a SlapOS master too
	User      int  // that it becomes, with the group of the same number; 0: none
	Group     int
	Engine    int   // the engine's process
	Sockets   int   // connections to the engine, at most
	Bodies    int64 // bytes of larger bodies that are held at once
	Threads   int   // that the user may have at most; 0: nothing is said
	Strict    bool  // it does not serve if it cannot be confined
}

// ready is what it says, on its standard output, when it serves.
type ready struct{ Lacks []string }

// metaHeader has what the API process says of a request, as JSON. None that comes from outside gets
// this far.
const metaHeader = "Hostler-Front"

// What the API process asks for.
const (
	askServe       = ""            // the request's answer
	askRefuse      = "refuse"      // it was refused: whether it may be told so
	askPage        = "page"        // whether the page may be shown
	askReceived    = "received"    // nothing: it says what has gone out of an answer
	askKnown       = "known"       // whether its caller is known
	askCertificate = "certificate" // what is public of the controller's certificate
	askSign        = "sign"        // a signature by its key
)

// meta is what it says of a request.
type meta struct {
	Ask    string   `json:",omitempty"`
	Status int      `json:",omitempty"` // with which it was refused
	Major  int      `json:",omitempty"` // of the version of HTTP in which it came
	From   string   // the address of the other end
	At     string   // the address that was asked
	TLS    bool     `json:",omitempty"`
	Chain  [][]byte `json:",omitempty"` // the client's certificates, in DER
}

// socketPair makes two sockets that are joined.
func socketPair() (out [2]*os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return out, os.NewSyscallError("socketpair", err)
	}
	for i, fd := range fds {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			return out, err
		}
		out[i] = os.NewFile(uintptr(fd), "pair")
	}
	return out, nil
}

func writeProblem(w http.ResponseWriter, p api.Problem) {
	w.Header().Set("Content-Type", api.ProblemType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // nobody is left to tell
}
