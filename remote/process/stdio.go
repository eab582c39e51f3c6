package process

import (
	"errors"
	"io"
	"os"
	"reflect"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/remote/input"
)

// lateOutput is how long after a command's end we wait for its output: processes that it left in
// the background may hold the pipe for ever.
const lateOutput = 300 * time.Millisecond

// mostLate bounds the bytes taken from a pipe after that: more than any pipe holds by default, but
// not all that a chatty daemon writes.
const mostLate = 1 << 20

// stdio connects a child's three streams to the caller's readers and writers. Files go to the
// child as they are.
type stdio struct {
	child   []*os.File // our copies of the child's ends
	nothing *os.File   // one of them, for unused streams; nil: none yet
	outputs []*os.File // the ends that we read
	stdin   *os.File   // the end that we write; nil: none
	woken   *os.File   // the other end of wake, closed by the goroutine that waits for it
	// closed at the end, so that no more is read of a caller's file; nil: none is read
	wake    *os.File
	copies  []func()
	begun   bool // the child runs, and has its ends
	writing sync.WaitGroup
}

// in returns the child's end for line and, after it, r.
func (p *stdio) in(line string, r io.Reader) (*os.File, error) {
	f, isFile := r.(*os.File)
	isFile = isFile && f != nil
	if isFile && line == "" {
		return f, nil
	}
	if r == nil && line == "" {
		return p.null()
	}
	var wake *os.File
	if isFile {
		var err error
		if wake, p.wake, err = os.Pipe(); err != nil {
			return nil, err
		}
		p.woken = wake
	}
	pr, pw, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.child, p.stdin = append(p.child, pr), pw
	p.copies = append(p.copies, func() {
		// Not waited for: the caller's reader may never end, and the command does not wait for it.
		go func() {
			_, err := io.WriteString(pw, line)
			switch {
			case err != nil || r == nil: // a child that does not read is no error
			case isFile:
				copyReady(pw, f, wake)
			default:
				_, _ = io.Copy(pw, r)
			}
			_ = pw.Close()
			if wake != nil {
				_ = wake.Close()
			}
		}()
	})
	return pr, nil
}

// out returns the child's end for w.
func (p *stdio) out(w io.Writer) (*os.File, error) {
	if f, ok := w.(*os.File); ok && f != nil {
		return f, nil
	}
	if w == nil {
		return p.null()
	}
	pr, pw, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.child, p.outputs = append(p.child, pw), append(p.outputs, pr)
	p.copies = append(p.copies, func() {
		p.writing.Go(func() {
			drain(pr, w)
			_ = pr.Close() // so that a child whose reader has gone gets SIGPIPE, as in a shell
		})
	})
	return pw, nil
}

// null returns one file for all unused streams.
func (p *stdio) null() (*os.File, error) {
	if p.nothing == nil {
		// not by package os, which tries to watch what it opens
		fd, err := syscall.Open(os.DevNull, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: os.DevNull, Err: err}
		}
		p.nothing = os.NewFile(uintptr(fd), os.DevNull)
		p.child = append(p.child, p.nothing)
	}
	return p.nothing, nil
}

// started starts the copying, and closes our copies of the child's ends.
func (p *stdio) started() {
	for _, f := range p.child {
		_ = f.Close()
	}
	p.begun = true
	for _, c := range p.copies {
		c()
	}
}

// finish takes the rest of the output of a child that has ended.
func (p *stdio) finish() {
	if p.stdin != nil {
		_ = p.stdin.Close()
	}
	if p.wake != nil {
		_ = p.wake.Close()
	}
	for _, f := range p.outputs {
		_ = f.SetReadDeadline(time.Now().Add(lateOutput))
	}
	p.writing.Wait()
}

// close is for a child that never started; it may follow started and finish.
func (p *stdio) close() {
	if p.begun {
		return
	}
	if p.stdin != nil {
		_ = p.stdin.Close()
	}
	for _, f := range slices.Concat(p.child, p.outputs, []*os.File{p.wake, p.woken}) {
		_ = f.Close() // of a nil file as well
	}
}

// copyReady copies a file that others may read after us: it takes nothing once wake has ended.
func copyReady(w io.Writer, f, wake *os.File) {
	buf := make([]byte, 32<<10)
	for {
		n, ok := input.Read(f, wake, buf)
		if !ok || n <= 0 {
			return
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return
		}
	}
}

// drain copies r to w until the end, until w fails, or, when r's read deadline has passed, until r
// is empty.
//
// It asks twice for a terminal's end. The kernel first looks for data, and then whether the other
// side has closed (n_tty_read in Linux's drivers/tty/n_tty.c). Data that was written in between
// shows only when it is asked again.
func drain(r *os.File, w io.Writer) {
	buf := make([]byte, 64<<10)
	closed := false // the last read found the end of a terminal
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return
			}
		}
		if errors.Is(err, syscall.EIO) && !closed {
			closed = true
			continue
		}
		closed = false
		if errors.Is(err, os.ErrDeadlineExceeded) {
			drainNow(r, w, buf)
			return
		}
		if err != nil {
			return
		}
	}
}

// drainNow takes the data in r without waiting. With a deadline alone, a slow w would lose data
// from before the command's end.
func drainNow(r *os.File, w io.Writer, buf []byte) {
	raw, err := r.SyscallConn()
	if err != nil {
		return
	}
	for total := 0; total < mostLate; {
		n := 0
		err := raw.Control(func(fd uintptr) {
			closed := false
			for {
				n, err = syscall.Read(int(fd), buf)
				if err != syscall.EINTR && (err != syscall.EIO || closed) {
					return
				}
				closed = err == syscall.EIO
			}
		})
		if err != nil || n <= 0 {
			return
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return
		}
		total += n
	}
}

// same reports whether two writers are one: then their output keeps its order and one goroutine
// calls the writer.
func same(a, b io.Writer) bool {
	return a != nil && reflect.TypeOf(a) == reflect.TypeOf(b) && reflect.TypeOf(a).Comparable() && a == b
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}
