package guest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Ports is the number of a machine's virtio-serial ports for the agent, and so of the host's
// processes that can use it at once.
const Ports = 8

// PortName is the name of a port, from 0.
func PortName(n int) string { return "hostler.agent." + strconv.Itoa(n) }

// greeting is what the guest says first. Its last byte is the version of the protocol.
const greeting = "hostler's guest\x01"

// Places in the part of the initrd that hostler adds.
const (
	Dir     = "/hostler"     // exists only for this
	Program = Dir + "/agent" // the agent's program
	// what the kernel is told to start: it starts Program with the word BootWord
	First  = Dir + "/init"
	Places = Dir + "/mnt" // where the kernel's file systems are mounted for a moment
)

// BootWord and ServeWord are the verbs of the agent's program for BootMain and for ServeMain.
const (
	BootWord  = "guest-boot"
	ServeWord = "guest"
)

const (
	identify    = "HsId"  // what a client sends before an identity
	maxIdentity = 1 << 16 // bytes of an identity, and of the guest's answer
)

// Identity is what makes a machine another than the one that it is a copy of. An empty field leaves
// its part as it is.
type Identity struct {
	Hostname  string
	MachineID string    // 32 hexadecimal digits
	Time      time.Time // the host's clock
	Entropy   []byte    // secret and random
	HostKey   []byte    // sshd's only private key from now on, ed25519 in OpenSSH's format
	HostPub   []byte    // and its public part, a line
}

// Greet reads the guest's greeting. An error is that of r, or says that something else came.
func Greet(r io.Reader) error {
	var b [len(greeting)]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return err
	}
	if string(b[:]) != greeting {
		return errors.New("what came was not the guest's greeting")
	}
	return nil
}

// Identify gives the guest an identity, and waits for its answer.
func Identify(rw io.ReadWriter, id Identity) error {
	if err := id.Send(rw); err != nil {
		return err
	}
	return Taken(rw)
}

// Send sends the guest an identity. That may be before its greeting was read.
func (id Identity) Send(w io.Writer) error {
	_, err := w.Write(append([]byte(identify), frame(id.encode())...))
	return err
}

// Taken waits for the guest's answer to an identity.
func Taken(r io.Reader) error {
	answer, err := unframe(r)
	if err != nil {
		return err
	}
	if len(answer) > 0 {
		return &Refusal{string(answer)}
	}
	return nil
}

// Refusal is the guest's answer when it could not take an identity.
type Refusal struct{ Words string }

// Error returns what the guest said.
func (r *Refusal) Error() string {
	return fmt.Sprintf("the guest could not take its identity: %q", r.Words)
}

// encode writes the fields one after the other, each after its length.
func (id Identity) encode() []byte {
	var nanos []byte
	if !id.Time.IsZero() {
		nanos = binary.BigEndian.AppendUint64(nil, uint64(id.Time.UnixNano()))
	}
	var b []byte
	for _, field := range [][]byte{[]byte(id.Hostname), []byte(id.MachineID), nanos, id.Entropy, id.HostKey, id.HostPub} {
		b = append(b, frame(field)...)
	}
	return b
}

// decode is encode's inverse. Fields beyond those that it knows are passed over.
func (id *Identity) decode(b []byte) error {
	var fields [6][]byte
	for i := range fields {
		if len(b) < 4 || uint64(len(b)-4) < uint64(binary.BigEndian.Uint32(b)) {
			return errors.New("an identity that is not well formed")
		}
		n := int(binary.BigEndian.Uint32(b))
		fields[i], b = b[4:4+n], b[4+n:]
	}
	*id = Identity{Hostname: string(fields[0]), MachineID: string(fields[1]), Entropy: fields[3], HostKey: fields[4], HostPub: fields[5]}
	if len(fields[2]) == 8 {
		id.Time = time.Unix(0, int64(binary.BigEndian.Uint64(fields[2])))
	}
	return nil
}

// frame puts the length before bytes.
func frame(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

// unframe reads what frame made, unless it is longer than any identity.
func unframe(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxIdentity {
		return nil, fmt.Errorf("a message of %d bytes, more than %d", n, maxIdentity)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}
