package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/hostler-project/hostler/compute"
)

// Version is the version of the protocol.
const Version = 3

const (
	magic     = "HsAg"
	helloLen  = 8
	headerLen = 8
	maxData   = 64 << 10 // bytes in one data frame
	// bytes in an open frame: the kernel takes 2 MiB of arguments and environment
	maxRequest = 4 << 20
	maxControl = 64 << 10 // bytes in any other frame
)

// The kinds of frame. The numbers are the protocol.
const (
	kindOpen   = 1
	kindData   = 2
	kindEOF    = 3
	kindCredit = 4
	kindReset  = 5
	kindSignal = 6
	kindResize = 7
	kindCancel = 8
	kindReply  = 9
	kindAccept = 10
	kindResult = 11
)

// The operations that a stream may be opened for.
const (
	opRun    = 1
	opPut    = 2
	opGet    = 3
	opDial   = 4
	opListen = 5
	opFacts  = 6
	opUsage  = 7
	opPing   = 8
	opHeld   = 9
	opSpace  = 10 // a workspace
)

// protocolError returns the error for a peer that breaks the rules.
func protocolError(format string, args ...any) error {
	return &compute.Error{Op: "agent", Kind: compute.ErrLost, Err: fmt.Errorf("the other side broke the protocol: "+format, args...)}
}

// hello returns what a side begins with.
func hello(version uint16) []byte {
	b := make([]byte, helloLen)
	copy(b, magic)
	binary.BigEndian.PutUint16(b[4:], version)
	return b
}

// checkHello returns the version in a peer's hello. b may be shorter than a hello, if the peer sent
// less.
func checkHello(b []byte) (uint16, error) {
	if len(b) < helloLen || string(b[:4]) != magic {
		if len(b) == 0 {
			return 0, errors.New("the other side ended without a word")
		}
		return 0, errors.New("the other side does not speak hostler's agent protocol, it said " + strconv.Quote(string(b)))
	}
	return binary.BigEndian.Uint16(b[4:]), nil
}

// versionError returns the error for a peer of another version.
func versionError(theirs uint16) error {
	return &compute.Error{Op: "agent", Kind: compute.ErrConflict,
		Err:  fmt.Errorf("the other side speaks version %d of the agent protocol, this side version %d", theirs, Version),
		Hint: "use the same hostler on both sides"}
}

func putHeader(b []byte, kind, ch byte, id uint32, n int) {
	b[0], b[1], b[2], b[3] = kind|ch<<6, byte(n>>16), byte(n>>8), byte(n)
	binary.BigEndian.PutUint32(b[4:], id)
}

func header(b []byte) (kind, ch byte, id uint32, n int) {
	return b[0] & 63, b[0] >> 6, binary.BigEndian.Uint32(b[4:]), int(b[1])<<16 | int(b[2])<<8 | int(b[3])
}

func appendUint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decoder decodes a body. At the first error it turns bad, and all later values are zero.
type decoder struct {
	b   []byte
	bad bool
}

// uint reads a varint. Bad input sets bad and gives zero.
func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

// int returns a number that is at most limit.
func (d *decoder) int(limit int) int {
	v := d.uint()
	if v > uint64(limit) {
		d.b, d.bad = nil, true
		return 0
	}
	return int(v)
}

// string reads a length and that many bytes. Bad input sets bad and gives an empty string.
func (d *decoder) string() string {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.b, d.bad = nil, true
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

// end reports whether the body was well formed and nothing is left.
func (d *decoder) end() bool { return !d.bad && len(d.b) == 0 }
