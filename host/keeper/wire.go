package keeper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

// The form of frames is the same in all versions, so that any two builds can find out that they
// differ.
const (
	magic    = "HsKp"
	version  = 1
	maxFrame = 1 << 20 // bytes; a status with many connections is the longest
)

// The verbs of requests.
const (
	verbConnect = "connect" // connect to an instance; the agent's protocol follows
	verbBell    = "bell"    // look for due work now
	verbPing    = "ping"    // do nothing
	verbStatus  = "status"
	verbStop    = "stop" // give up the socket, and end when nothing runs through it
)

// answerTime is how long a client waits for the next frame, on a very busy machine. A keeper that
// needs longer sends frames with Wait.
const answerTime = 10 * time.Second

// request is a client's frame.
type request struct {
	Version    int
	Build      string
	Verb       string
	Who        compute.Who
	Instance   compute.ID
	Generation int64
}

// answer is the keeper's frame.
type answer struct {
	Version int
	Other   bool   // the keeper is of another build, and did nothing
	Wait    bool   // it is still working, and another answer follows
	Error   []byte // in the form of agent.AppendError; empty: no error
	Status  []byte // a Status as JSON; empty: not asked for
}

// Status is what a keeper says about itself.
type Status struct {
	PID     int       `json:"pid"`
	Build   string    `json:"build"`
	Started time.Time `json:"started"`
	Clients int       `json:"clients"` // open connections into instances
	// when it looks for work again; zero: when it is told
	Due    time.Time `json:"due,omitzero"`
	Busy   bool      `json:"busy,omitempty"`   // due work is in progress
	Error  string    `json:"error,omitempty"`  // of the last due work
	Ending bool      `json:"ending,omitempty"` // it makes room for another keeper
	Kept   []Kept    `json:"kept"`
}

// Kept is a connection that a keeper keeps open.
type Kept struct {
	Key
	Users int       `json:"users"` // current clients
	Since time.Time `json:"since"` // when it was opened
	Used  time.Time `json:"used"`  // when it was last used
}

// Bodies are encoded by hand: a command makes one request in its life, and reflection for JSON
// would cost it a tenth of a millisecond. They begin with the version; the rest depends on it.

// append encodes the request.
func (r *request) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(r.Version))
	for _, s := range [...]string{r.Verb, r.Build, r.Who.Owner, r.Who.Lease, string(r.Instance)} {
		b = appendBytes(b, s)
	}
	b = binary.AppendVarint(b, r.Generation)
	return append(b, flag(r.Who.Admin))
}

// decode decodes a request. Of another version, only the first words are read.
func (r *request) decode(b []byte) error {
	d := decoder{b}
	r.Version = int(d.uint())
	var words [5]string
	for i := range words {
		words[i] = string(d.bytes())
	}
	r.Verb, r.Build, r.Who.Owner, r.Who.Lease, r.Instance = words[0], words[1], words[2], words[3], compute.ID(words[4])
	if r.Version != version {
		return nil // only a known verb can be understood
	}
	v, n := binary.Varint(d.b)
	if n <= 0 || len(d.b) != n+1 {
		return errNotOurs
	}
	r.Generation, r.Who.Admin = v, d.b[n] != 0
	return nil
}

func (a *answer) append(b []byte) []byte {
	b = append(binary.AppendUvarint(b, uint64(a.Version)), flag(a.Other)|flag(a.Wait)<<1)
	return appendBytes(appendBytes(b, a.Error), a.Status)
}

// decode decodes an answer. One of another version counts as Other.
func (a *answer) decode(b []byte) error {
	d := decoder{b}
	a.Version = int(d.uint())
	if len(d.b) == 0 {
		return errNotOurs
	}
	a.Other, a.Wait = d.b[0]&1 != 0 || a.Version != version, d.b[0]&2 != 0
	d.b = d.b[1:]
	a.Error, a.Status = d.bytes(), d.bytes()
	return nil
}

func appendBytes[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func flag(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// decoder reads a body; missing values are empty.
type decoder struct{ b []byte }

// uint reads a number; a missing one is 0.
func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.b = nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes() []byte {
	n := min(d.uint(), uint64(len(d.b)))
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

var errNotOurs = errors.New("this is not the keeper's protocol")

// writeFrame writes a frame: magic, the length of the body in four bytes (big-endian), and the
// body.
func writeFrame(w io.Writer, v interface{ append([]byte) []byte }) error {
	b := v.append(append(make([]byte, 0, 256), magic+"\x00\x00\x00\x00"...))
	if len(b) > maxFrame {
		return fmt.Errorf("a frame of %d bytes", len(b))
	}
	binary.BigEndian.PutUint32(b[len(magic):], uint32(len(b)-len(magic)-4))
	_, err := w.Write(b)
	return err
}

// readFrame reads a frame of at most maxFrame bytes.
func readFrame(r io.Reader, v interface{ decode([]byte) error }) error {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[4:])
	if string(head[:4]) != magic || n > maxFrame {
		return errNotOurs
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	return v.decode(body)
}

func (a *answer) err() error {
	if len(a.Error) == 0 {
		return nil
	}
	return agent.DecodeError(a.Error)
}
