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

// The frames' form is fixed for all versions, so that any two builds can at least say that they
// differ.
const (
	magic    = "HsKp"
	version  = 1
	maxFrame = 1 << 20 // bytes; a status of many connections is the longest
)

// The verbs.
const (
	verbConnect = "connect" // a way into an instance; the agent protocol follows
	verbBell    = "bell"    // look for due work now
	verbPing    = "ping"    // nothing
	verbStatus  = "status"
	verbStop    = "stop" // give up the socket, and end when what runs has ended
)

// answerTime is how long a client waits for the next frame of its keeper, on a machine that is very
// busy. A keeper that needs longer says so.
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
	Wait    bool   // it is still at work; another answer follows
	Error   []byte // as agent.AppendError has it; empty: none
	Status  []byte // a Status as JSON; empty: not asked for
}

// Status is what a keeper says about itself.
type Status struct {
	PID     int       `json:"pid"`
	Build   string    `json:"build"`
	Started time.Time `json:"started"`
	Clients int       `json:"clients"` // connections into instances that are open now
	// when it looks for work again; zero: not until it is told
	Due    time.Time `json:"due,omitzero"`
	Busy   bool      `json:"busy,omitempty"`   // it is doing due work
	Error  string    `json:"error,omitempty"`  // how doing due work failed the last time
	Ending bool      `json:"ending,omitempty"` // it makes room for another
	Kept   []Kept    `json:"kept"`
}

// Kept is a connection that a keeper keeps open.
type Kept struct {
	Key
	Users int       `json:"users"` // clients that use it now
	Since time.Time `json:"since"` // when it was opened
	Used  time.Time `json:"used"`  // when it was last used
}

// The bodies are written by hand and not as JSON: a command makes one request in its life, and
// would pay a tenth of a millisecond for looking at the types. They begin with the version, and
// what follows is for those who speak it.

func (r *request) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(r.Version))
	for _, s := range [...]string{r.Verb, r.Build, r.Who.Owner, r.Who.Lease, string(r.Instance)} {
		b = appendBytes(b, s)
	}
	b = binary.AppendVarint(b, r.Generation)
	return append(b, flag(r.Who.Admin))
}

func (r *request) decode(b []byte) error {
	d := decoder{b}
	r.Version = int(d.uint())
	var words [5]string
	for i := range words {
		words[i] = string(d.bytes())
	}
	r.Verb, r.Build, r.Who.Owner, r.Who.Lease, r.Instance = words[0], words[1], words[2], words[3], compute.ID(words[4])
	if r.Version != version {
		return nil // its verb, if that is one of ours, is all that may be understood
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

// decoder takes a body apart; where it ends too early, what is missing is empty.
type decoder struct{ b []byte }

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

func writeFrame(w io.Writer, v interface{ append([]byte) []byte }) error {
	b := v.append(append(make([]byte, 0, 256), magic+"\x00\x00\x00\x00"...))
	if len(b) > maxFrame {
		return fmt.Errorf("a frame of %d bytes", len(b))
	}
	binary.BigEndian.PutUint32(b[len(magic):], uint32(len(b)-len(magic)-4))
	_, err := w.Write(b)
	return err
}

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
