package agent

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"sync"
)

// A character device, such as a virtio-serial port, is one stream of bytes for as long as the
// machine lives. The client at its other end may go in the middle of a frame, or of nothing, and
// another may come, without a word from the kernel on either side: a paused machine notices
// neither. So on such a stream each connection begins with a word that cannot come up within one:
// an escape byte, the letter b and a number that the client chooses. The server's first bytes
// repeat it. The reader of that word knows that all before it was another connection's.
const (
	// rare in text, in numbers and in tar streams; within data it goes as escape and escapeData
	escape     = 0xD3
	escapeData = 'x'
	escapeBy   = 'b' // begin: nonceLen characters follow
	escapeEnd  = 'e'
	nonceLen   = 16
)

// Attach prepares rwc, the host's side of a character device, for a connection: for New, with a
// Port at the other end. It sends nothing by itself. Close tells the other end, and closes rwc.
func Attach(rwc io.ReadWriteCloser) io.ReadWriteCloser {
	b := make([]byte, nonceLen/2)
	_, _ = rand.Read(b) // never fails
	return &portConn{p: &Port{rw: rwc, reading: make(chan struct{}, 1)}, nonce: hex.EncodeToString(b), client: true}
}

// Port is the guest's side of a character device, with one connection after the other. It serves a
// client without Attach too. But if such a client goes in the middle of something and the device
// does not tell, the next one is not understood.
type Port struct {
	rw      io.ReadWriteCloser
	reading chan struct{} // holds a token while rw is being read
	in      []byte        // what is read into, by the holder of the token
	writing sync.Mutex    // held while rw is written, whose bytes must not mix
	out     []byte        // what is written, by the holder of writing

	mu      sync.Mutex
	current *portConn // nil: none
	raw     []byte    // bytes that were read and not parsed yet
	back    []byte    // the array of raw
	// something was read since the device was last empty, so no plain client can begin here
	stale bool
}

// NewPort makes a port of a device, which the port owns from then on.
func NewPort(rw io.ReadWriteCloser) *Port { return &Port{rw: rw, reading: make(chan struct{}, 1)} }

// Accept waits for the next connection, which ends the one before. The error is the device's:
// io.EOF if there is no client, and then Accept may be called again.
func (p *Port) Accept() (io.ReadWriteCloser, error) {
	for {
		c, full := p.begin()
		if c != nil {
			return c, nil
		}
		if err := p.fill(full); err != nil {
			return nil, err
		}
	}
}

// Close closes the device.
func (p *Port) Close() error { return p.rw.Close() }

// begin looks for the beginning of a connection in the read bytes, and discards the bytes before
// it. If there is none it returns how many bytes there are.
func (p *Port) begin() (*portConn, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stale && bytes.HasPrefix(p.raw, []byte(magic)) {
		p.current = &portConn{p: p, plain: true}
		return p.current, 0
	}
	for {
		at := bytes.IndexByte(p.raw, escape)
		if !p.stale && len(p.raw) < len(magic) && bytes.HasPrefix([]byte(magic), p.raw) {
			return nil, len(p.raw) // it may become one
		}
		p.stale = p.stale || len(p.raw) > 0 && at != 0
		if at < 0 {
			p.raw = p.raw[:0]
			return nil, 0
		}
		p.raw = p.raw[at:]
		nonce, whole, ok := beginning(p.raw)
		switch {
		case ok:
			p.raw = p.raw[2+nonceLen:]
			p.current = &portConn{p: p, nonce: nonce}
			return p.current, 0
		case !whole:
			return nil, len(p.raw)
		}
		p.raw, p.stale = p.raw[1:], true
	}
}

// beginning reads the beginning of a connection, which starts with an escape byte. whole is false
// where more must be read to know.
func beginning(b []byte) (nonce string, whole, ok bool) {
	for i := 1; i < 2+nonceLen; i++ {
		switch {
		case i == len(b):
			return "", false, false
		case i == 1 && b[i] != escapeBy, i > 1 && bytes.IndexByte([]byte("0123456789abcdef"), b[i]) < 0:
			return "", true, false
		}
	}
	return string(b[2 : 2+nonceLen]), true, true
}

// fill reads more, unless another goroutine has since there were full bytes.
func (p *Port) fill(full int) error {
	p.reading <- struct{}{}
	defer func() { <-p.reading }()
	p.mu.Lock()
	changed := len(p.raw) != full
	p.mu.Unlock()
	if changed {
		return nil
	}
	if p.in == nil {
		p.in, p.back = make([]byte, maxData), make([]byte, 2*maxData)
	}
	n, err := p.rw.Read(p.in)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.raw = append(append(p.back[:0], p.raw...), p.in[:n]...)
	if n > 0 {
		return nil
	}
	if err != nil {
		p.raw, p.stale = p.raw[:0], false
	}
	return err
}

// portConn is one connection on a port.
type portConn struct {
	p      *Port
	nonce  string
	client bool
	plain  bool // the client knows nothing of ports: all bytes are its own

	greeted bool // guarded by p.writing: the beginning was written

	// guarded by p.mu
	begun bool  // client: the answer has begun
	over  error // why it has ended; nil: it has not
}

var errReplaced = errors.New("another client has taken the line")

// Read returns io.EOF when the other end has closed the connection, or another one has begun.
func (c *portConn) Read(b []byte) (int, error) {
	for {
		n, full, err := c.take(b)
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		if err := c.p.fill(full); err != nil {
			return 0, err
		}
	}
}

// take takes from the read bytes. If there is nothing to take it returns how many bytes there are.
func (c *portConn) take(b []byte) (n, full int, err error) {
	p := c.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.over == nil && !c.client && p.current != c {
		c.over = io.EOF
	}
	if c.over != nil {
		return 0, 0, c.over
	}
	if c.plain {
		return c.takePlain(b)
	}
	if c.client && !c.begun && !c.answered() {
		return 0, len(p.raw), nil
	}
	for n < len(b) && len(p.raw) > 0 {
		if p.raw[0] != escape {
			end := bytes.IndexByte(p.raw, escape)
			if end < 0 {
				end = len(p.raw)
			}
			k := copy(b[n:], p.raw[:end])
			n, p.raw = n+k, p.raw[k:]
			continue
		}
		if len(p.raw) == 1 {
			break
		}
		switch p.raw[1] {
		case escapeData:
			b[n] = escape
			n, p.raw = n+1, p.raw[2:]
			continue
		case escapeEnd:
			p.raw, c.over = p.raw[2:], io.EOF
		case escapeBy:
			if _, whole, ok := beginning(p.raw); !whole {
				return n, len(p.raw), nil
			} else if ok { // it stays, for Accept
				if c.over = io.EOF; c.client {
					c.over = errReplaced
				}
				break
			}
			fallthrough
		default: // cut short by another's beginning, or nobody's
			p.raw = p.raw[1:]
			continue
		}
		if n == 0 {
			return 0, 0, c.over
		}
		return n, 0, nil
	}
	return n, len(p.raw), nil
}

// takePlain takes the bytes as they are, up to the beginning of a connection by Attach: those bytes
// come up within data by intent alone.
func (c *portConn) takePlain(b []byte) (n, full int, err error) {
	p := c.p
	end := len(p.raw)
	for at := 0; at < len(p.raw); at++ {
		i := bytes.IndexByte(p.raw[at:], escape)
		if i < 0 {
			break
		}
		at += i
		// half of one is the data's: a client that waits for an answer sends no other half
		if _, _, ok := beginning(p.raw[at:]); ok {
			if end = at; at == 0 {
				c.over = io.EOF
				return 0, 0, c.over
			}
			break
		}
	}
	n = copy(b, p.raw[:end])
	p.raw = p.raw[n:]
	return n, len(p.raw), nil
}

// answered discards all before the server's answer to this connection.
func (c *portConn) answered() bool {
	p := c.p
	for {
		at := bytes.IndexByte(p.raw, escape)
		if at < 0 {
			p.raw = p.raw[:0]
			return false
		}
		p.raw = p.raw[at:]
		nonce, whole, ok := beginning(p.raw)
		if !whole {
			return false
		}
		p.raw = p.raw[1:]
		if ok && nonce == c.nonce {
			p.raw, c.begun = p.raw[1+nonceLen:], true
			return true
		}
	}
}

// Write sends b with each escape byte as a pair, unless the connection is plain. The first write
// begins with the nonce.
func (c *portConn) Write(b []byte) (int, error) {
	p := c.p
	p.writing.Lock()
	defer p.writing.Unlock()
	if c.plain {
		return c.send(b, len(b))
	}
	out := p.out[:0]
	if !c.greeted {
		out = append(append(out, escape, escapeBy), c.nonce...)
	}
	for rest := b; ; {
		at := bytes.IndexByte(rest, escape)
		if at < 0 {
			out = append(out, rest...)
			break
		}
		out = append(append(out, rest[:at]...), escape, escapeData)
		rest = rest[at+1:]
	}
	p.out = out
	return c.send(out, len(b))
}

// send writes encoded bytes, which stand for n of the caller's, while the connection lives.
// p.writing is held.
func (c *portConn) send(out []byte, n int) (int, error) {
	p := c.p
	p.mu.Lock()
	gone := c.over != nil || !c.client && p.current != c
	p.mu.Unlock()
	if gone {
		return 0, io.ErrClosedPipe
	}
	c.greeted = true
	if _, err := p.rw.Write(out); err != nil {
		return 0, err
	}
	return n, nil
}

// Close ends the connection; the client also closes its side of the device. It tells the other end
// if that needs no wait.
func (c *portConn) Close() error {
	p := c.p
	if !c.plain && p.writing.TryLock() {
		p.mu.Lock()
		tell := c.over == nil && c.greeted && (c.client || p.current == c)
		p.mu.Unlock()
		if tell {
			_, _ = p.rw.Write([]byte{escape, escapeEnd})
		}
		p.writing.Unlock()
	}
	p.mu.Lock()
	if c.over == nil {
		c.over = io.ErrClosedPipe
	}
	if p.current == c {
		p.current = nil
	}
	p.mu.Unlock()
	if c.client {
		return p.rw.Close()
	}
	return nil
}
