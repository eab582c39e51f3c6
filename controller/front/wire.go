package front

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/api"
)

// Word is the program's hidden argument that makes it the API process.
const Word = "api-process"

// The descriptors of the API process: the socket by which it hands pairs over, and the first of the
// listeners.
const (
	doorFD  = 3
	firstFD = 4
)

// setup is what the engine tells the API process when it starts, on its standard input. The end of
// that input tells it to end.
type setup struct {
	Version   string
	Listeners int
	TLS       bool
	Slapos    bool // the controller is a SlapOS master too
	User      int  // that it becomes, with the group of the same number; 0: none
	Group     int
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
	askCertificate = "certificate" // what is public of the controller's certificate
	askSign        = "sign"        // a signature by its key
)

// meta is what it says of a request.
type meta struct {
	Ask    string   `json:",omitempty"`
	Status int      `json:",omitempty"` // with which it was refused
	From   string   // the address of the other end
	At     string   // the address that was asked
	TLS    bool     `json:",omitempty"`
	Chain  [][]byte `json:",omitempty"` // the client's certificates, in DER
}

// door hands sockets to the engine.
type door struct {
	mu sync.Mutex
	c  *net.UnixConn
}

// dial makes a pair of sockets and hands one over.
func (d *door) dial() (net.Conn, error) {
	pair, err := socketPair()
	if err != nil {
		return nil, err
	}
	c, err := net.FileConn(pair[0])
	err = errors.Join(err, pair[0].Close())
	if err == nil {
		d.mu.Lock()
		_, _, err = d.c.WriteMsgUnix([]byte{0}, unix.UnixRights(int(pair[1].Fd())), nil)
		d.mu.Unlock()
	}
	if err := errors.Join(err, pair[1].Close()); err != nil {
		return nil, err
	}
	return c, nil
}

// handed is the engine's end: a listener of the sockets that are handed over.
type handed struct{ c *net.UnixConn }

// Accept waits for the next one. io.EOF: there is nobody to hand any over.
func (h handed) Accept() (net.Conn, error) {
	for {
		space, b := make([]byte, unix.CmsgSpace(4)), make([]byte, 1)
		n, got, _, _, err := h.c.ReadMsgUnix(b, space)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, io.EOF
		}
		if c, err := passed(space[:got]); err == nil {
			return c, nil
		}
	}
}

// passed is the socket that came with a message.
func passed(control []byte) (net.Conn, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(messages) != 1 {
		return nil, errors.New("no descriptor came")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, errors.New("no descriptor came")
	}
	unix.CloseOnExec(fds[0])
	f := os.NewFile(uintptr(fds[0]), "front")
	defer f.Close()
	c, err := net.FileConn(f)
	if u, ok := c.(*net.UnixConn); err == nil && ok {
		return u, nil
	}
	if err == nil {
		_ = c.Close()
	}
	return nil, errors.New("what came is no socket of this machine")
}

func (h handed) Close() error   { return h.c.Close() }
func (h handed) Addr() net.Addr { return &net.UnixAddr{Name: "api process", Net: "unix"} }

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
