package qmp

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
	Error  *refusal        `json:"error"`
}

// refusal is qemu's refusal.
type refusal struct {
	Class string `json:"class"`
	Desc  string `json:"desc"`
}

// Error returns qemu's words.
func (e *refusal) Error() string { return "qemu: " + e.Desc }

// read reads the next message. An error is the reader's, or says that the line is no
// message.
func read(r *bufio.Reader) (m message, err error) {
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

// Monitor is a conversation with a qemu. Only one at a time is possible; others wait for its end.
type Monitor struct {
	c *net.UnixConn
	r *bufio.Reader
}

// dial opens a conversation on a socket. It gives up on qemu after a while.
func dial(ctx context.Context, path string) (*Monitor, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	m := &Monitor{c.(*net.UnixConn), bufio.NewReader(c)}
	_ = m.c.SetDeadline(Deadline(ctx, 20*time.Second))
	defer context.AfterFunc(ctx, func() { _ = m.c.SetDeadline(time.Unix(1, 0)) })()
	hello, err := read(m.r)
	if err == nil && hello.QMP == nil {
		err = errors.New("qemu does not greet")
	}
	if err == nil {
		err = m.Do(ctx, "qmp_capabilities", nil, nil)
	}
	if err != nil {
		_ = m.Close()
		return nil, err
	}
	return m, nil
}

// Open opens a conversation with the qemu of a directory. It connects through a descriptor of the
// directory, as paths of sockets may not be long.
func Open(ctx context.Context, dir string) (*Monitor, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return dial(ctx, fmt.Sprintf("/proc/self/fd/%d/qmp", fd))
}

// Deadline returns the earlier of ctx's end and limit from now.
func Deadline(ctx context.Context, limit time.Duration) time.Time {
	end := time.Now().Add(limit)
	if d, ok := ctx.Deadline(); ok && d.Before(end) {
		return d
	}
	return end
}

// Close ends the conversation.
func (m *Monitor) Close() error { return m.c.Close() }

// Do makes qemu execute a command, and decodes its answer into out, which may be nil.
func (m *Monitor) Do(ctx context.Context, command string, args any, out any) error {
	return m.send(ctx, nil, command, args, out)
}

// hand gives qemu an open file, by a name.
func (m *Monitor) hand(ctx context.Context, name string, f *os.File) error {
	return m.send(ctx, f, "getfd", map[string]string{"fdname": name}, nil)
}

// Patience gives up on qemu after a while, or at ctx's end if that is earlier.
func (m *Monitor) Patience(ctx context.Context, limit time.Duration) {
	_ = m.c.SetDeadline(Deadline(ctx, limit))
}

func (m *Monitor) send(ctx context.Context, f *os.File, command string, args any, out any) error {
	defer context.AfterFunc(ctx, func() { _ = m.c.SetDeadline(time.Unix(1, 0)) })()
	err := m.exchange(f, command, args, out)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// exchange sends one command, with a file unless f is nil, and waits for its answer.
func (m *Monitor) exchange(f *os.File, command string, args any, out any) error {
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
		answer, err := read(m.r)
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

// Status is the machine's state: "running", "paused", "inmigrate", "postmigrate", "io-error",
// "shutdown", ...
func (m *Monitor) Status(ctx context.Context) (string, error) {
	var s struct {
		Status string `json:"status"`
	}
	err := m.Do(ctx, "query-status", nil, &s)
	return s.Status, err
}
