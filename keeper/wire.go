package keeper

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

// The frames' form is fixed for all versions, so that any two builds can at least say that they differ.
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

// request is a client's frame.
type request struct {
	Version    int         `json:"version"`
	Build      string      `json:"build,omitempty"`
	Verb       string      `json:"verb"`
	Who        compute.Who `json:"who,omitzero"`
	Instance   compute.ID  `json:"instance,omitempty"`
	Generation int64       `json:"generation,omitempty"`
}

// answer is the keeper's frame.
type answer struct {
	Version int     `json:"version"`
	Other   bool    `json:"other,omitempty"` // the keeper is of another build, and did nothing
	Error   []byte  `json:"error,omitempty"` // as agent.AppendError has it
	Status  *Status `json:"status,omitempty"`
}

// Status is what a keeper says about itself.
type Status struct {
	PID     int       `json:"pid"`
	Build   string    `json:"build"`
	Started time.Time `json:"started"`
	Clients int       `json:"clients"`          // connections into instances that are open now
	Due     time.Time `json:"due,omitzero"`     // when it looks for work again; zero: not until it is told
	Busy    bool      `json:"busy,omitempty"`   // it is doing due work
	Error   string    `json:"error,omitempty"`  // how doing due work failed the last time
	Ending  bool      `json:"ending,omitempty"` // it makes room for another
	Kept    []Kept    `json:"kept"`
}

// Kept is a connection that a keeper keeps open.
type Kept struct {
	Key
	Users int       `json:"users"` // clients that use it now
	Since time.Time `json:"since"` // when it was opened
	Used  time.Time `json:"used"`  // when it was last used
}

func writeFrame(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(body) > maxFrame {
		return fmt.Errorf("a frame of %d bytes", len(body))
	}
	b := make([]byte, 0, 8+len(body))
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	_, err = w.Write(append(b, body...))
	return err
}

func readFrame(r io.Reader, v any) error {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[4:])
	if string(head[:4]) != magic || n > maxFrame {
		return errors.New("this is not the keeper's protocol")
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

func (a *answer) err() error {
	if a.Error == nil {
		return nil
	}
	return agent.DecodeError(a.Error)
}
