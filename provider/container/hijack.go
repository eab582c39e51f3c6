package container

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"unicode"
)

// agentHello is the beginning of our program's output.
const agentHello = "HsAg"

// maxFrame bounds a piece of a stream that is not one of pieces: no engine sends more at once.
const maxFrame = 16 << 20

// streams is a program's standard streams through an engine's hijacked connection. Writes are its
// input, reads its output. Engines put eight bytes before each piece of output: the number of its
// stream, three zeros, and its length.
type streams struct {
	conn net.Conn
	r    *bufio.Reader
	left uint32 // of the current piece of standard output; one reader at a time

	mu sync.Mutex
	// the beginning of standard output: engines report there too why a program could not start
	first  []byte
	stderr []byte // the end of standard error
	end    error  // why reading ended
}

// attach starts a prepared exec and takes over its connection, which outlives ctx.
func (e *engine) attach(ctx context.Context, exec string) (*streams, error) {
	a, err := e.ask(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	s, err := hijack(conn, "/v"+a.api+"/exec/"+exec+"/start")
	switch {
	case !stop(): // ctx has ended, and the connection with it
		return nil, ctx.Err()
	case status(err) != 0:
		conn.Close()
		return nil, err
	case err != nil:
		conn.Close()
		return nil, broken(ctx, err)
	}
	return s, nil
}

// hijack asks for the upgrade and reads the answer.
func hijack(conn net.Conn, path string) (*streams, error) {
	body, _ := json.Marshal(map[string]bool{"Detach": false, "Tty": false})
	req, err := http.NewRequest(http.MethodPost, "http://engine"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "tcp")
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(conn, 64<<10)
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusSwitchingProtocols, http.StatusOK:
		// before 1.42 some engines say 200 and do the same
		return &streams{conn: conn, r: r}, nil
	}
	defer resp.Body.Close()
	return nil, readError(resp)
}

// Read reads the program's standard output.
func (s *streams) Read(b []byte) (int, error) {
	for s.left == 0 {
		if err := s.next(); err != nil {
			s.mu.Lock()
			s.end = err
			s.mu.Unlock()
			return 0, err
		}
	}
	n, err := s.r.Read(b[:min(len(b), int(s.left))])
	s.left -= uint32(n)
	if len(s.first) < 8 {
		s.mu.Lock()
		s.first = append(s.first, b[:min(n, 300)]...)
		s.mu.Unlock()
	}
	return n, err
}

// next reads the head of the next piece, and all of a piece that is not standard output.
func (s *streams) next() error {
	var head [8]byte
	if n, err := io.ReadFull(s.r, head[:]); err != nil {
		if n > 0 {
			return s.unframed(head[:n])
		}
		return err
	}
	size := binary.BigEndian.Uint32(head[4:])
	if head[0] > 3 || head[1]|head[2]|head[3] != 0 || size > maxFrame {
		return s.unframed(head[:])
	}
	if head[0] == 1 {
		s.left = size
		return nil
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(s.r, text); err != nil {
		return err
	}
	if head[0] == 3 { // the engine's own words
		return errors.New(oneLine(text))
	}
	s.mu.Lock()
	s.stderr = append(s.stderr, text...)
	if len(s.stderr) > 4096 {
		s.stderr = bytes.Clone(s.stderr[len(s.stderr)-4096:])
	}
	s.mu.Unlock()
	return nil
}

// unframed returns the error for output without heads: Docker reports so that the program could not
// start.
func (s *streams) unframed(begin []byte) error {
	rest := make([]byte, 1000)
	n, _ := io.ReadAtLeast(s.r, rest, len(rest))
	return errors.New(oneLine(append(begin, rest[:n]...)))
}

// unframe joins the pieces of both outputs in their order. It returns output without pieces as it
// is.
func unframe(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxFrame))
	var out []byte
	for rest := b; len(rest) >= 8; {
		n := binary.BigEndian.Uint32(rest[4:])
		if rest[0] > 2 || rest[1]|rest[2]|rest[3] != 0 || n > maxFrame {
			return string(b), err // of a terminal
		}
		n = min(n, uint32(len(rest)-8))
		out = append(out, rest[8:8+n]...)
		rest = rest[8+n:]
	}
	return string(out), err
}

// oneLine puts the output of a program or an engine on one line.
func oneLine(b []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, string(b)))
}

// said returns the program's standard error, or why reading ended; "": nothing.
func (s *streams) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := oneLine(s.stderr)
	if len(s.first) > 0 && !bytes.HasPrefix(s.first, []byte(agentHello)) {
		text = oneLine(s.first) + " " + text
	}
	if s.end != nil && s.end != io.EOF && !errors.Is(s.end, net.ErrClosed) {
		text = strings.TrimSpace(fmt.Sprintf("%s %v", text, s.end))
	}
	return text
}

// Write writes to the program's standard input.
func (s *streams) Write(b []byte) (int, error) { return s.conn.Write(b) }

// Close ends the connection, and with it the program's input and output.
func (s *streams) Close() error { return s.conn.Close() }
