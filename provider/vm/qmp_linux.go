package vm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxMessage is how long one message of qemu's may be, in bytes.
const maxMessage = 4 << 20

// message is one line of QMP: a greeting, an event, an answer or an error.
type message struct {
	QMP    json.RawMessage `json:"QMP"`
	Event  string          `json:"event"`
	Return json.RawMessage `json:"return"`
	Error  *qmpError       `json:"error"`
}

// qmpError is qemu's refusal.
type qmpError struct {
	Class string `json:"class"`
	Desc  string `json:"desc"`
}

// Error returns qemu's words.
func (e *qmpError) Error() string { return "qemu: " + e.Desc }

// readMessage reads the next message. An error is the reader's, or says that the line is no
// message.
func readMessage(r *bufio.Reader) (m message, err error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxMessage {
			return m, fmt.Errorf("a message of more than %d bytes", maxMessage)
		}
		if err == nil && len(bytes.TrimSpace(line)) == 0 {
			line = line[:0]
			continue
		}
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			if err == io.EOF && len(line) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return m, err
		}
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return m, fmt.Errorf("what came is no message of QMP: %w", err)
	}
	if m.QMP == nil && m.Event == "" && m.Return == nil && m.Error == nil {
		return m, errors.New("what came is no message of QMP")
	}
	return m, nil
}

// monitor is a conversation with a qemu. Only one at a time is possible; others wait for its end.
type monitor struct {
	c *net.UnixConn
	r *bufio.Reader
}

// dialMonitor opens a conversation on a socket. It gives up on qemu after a while.
func dialMonitor(ctx context.Context, path string) (*monitor, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	m := &monitor{c.(*net.UnixConn), bufio.NewReader(c)}
	_ = m.c.SetDeadline(deadline(ctx, 20*time.Second))
	defer context.AfterFunc(ctx, func() { _ = m.c.SetDeadline(time.Unix(1, 0)) })()
	hello, err := readMessage(m.r)
	if err == nil && hello.QMP == nil {
		err = errors.New("qemu does not greet")
	}
	if err == nil {
		err = m.do(ctx, "qmp_capabilities", nil, nil)
	}
	if err != nil {
		_ = m.close()
		return nil, err
	}
	return m, nil
}

// deadline returns the earlier of ctx's end and limit from now.
func deadline(ctx context.Context, limit time.Duration) time.Time {
	end := time.Now().Add(limit)
	if d, ok := ctx.Deadline(); ok && d.Before(end) {
		return d
	}
	return end
}

func (m *monitor) close() error { return m.c.Close() }

// do makes qemu execute a command, and decodes its answer into out, which may be nil.
func (m *monitor) do(ctx context.Context, command string, args any, out any) error {
	return m.send(ctx, nil, command, args, out)
}

// hand gives qemu an open file, by a name.
func (m *monitor) hand(ctx context.Context, name string, f *os.File) error {
	return m.send(ctx, f, "getfd", map[string]string{"fdname": name}, nil)
}

func (m *monitor) send(ctx context.Context, f *os.File, command string, args any, out any) error {
	defer context.AfterFunc(ctx, func() { _ = m.c.SetDeadline(time.Unix(1, 0)) })()
	err := m.exchange(f, command, args, out)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// exchange sends one command, with a file unless f is nil, and waits for its answer.
func (m *monitor) exchange(f *os.File, command string, args any, out any) error {
	request := map[string]any{"execute": command}
	if args != nil {
		request["arguments"] = args
	}
	b, err := json.Marshal(request)
	if err != nil {
		return err
	}
	var rights []byte
	if f != nil {
		rights = unix.UnixRights(int(f.Fd()))
	}
	if _, _, err := m.c.WriteMsgUnix(append(b, '\n'), rights, nil); err != nil {
		return err
	}
	for {
		answer, err := readMessage(m.r)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", command, err)
		case answer.Error != nil:
			return fmt.Errorf("%s: %w", command, answer.Error)
		case answer.Return != nil:
			if out == nil {
				return nil
			}
			return json.Unmarshal(answer.Return, out)
		}
	}
}

// status is the machine's state: "running", "paused", "inmigrate", "postmigrate", "io-error",
// "shutdown", ...
func (m *monitor) status(ctx context.Context) (string, error) {
	var s struct {
		Status string `json:"status"`
	}
	err := m.do(ctx, "query-status", nil, &s)
	return s.Status, err
}
