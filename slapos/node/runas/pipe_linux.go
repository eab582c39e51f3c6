package runas

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// lull is how long a pipe may be silent after the end of the command until it is given up: another
// process, not ours to end, has it open then.
const lull = time.Second

// pipe takes what a command writes to its writer. However slow that is, all that was written before
// the command's end comes through.
type pipe struct {
	read, write *os.File
	// bytes that may still come after the command's end; more is from processes that outlive it
	left  atomic.Int64
	ended atomic.Bool
	done  chan error
}

const fallback = 1 << 20 // bytes that a pipe may have in it, where the kernel does not say

// newPipe returns a pipe that is copied to the writer until it is ended.
func newPipe(to io.Writer) (*pipe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &pipe{read: r, write: w, done: make(chan error, 1)}
	go p.copy(to) // until end
	return p, nil
}

// started is called when the command has its end of the pipe.
func (p *pipe) started() { _ = p.write.Close() }

// end returns when all was written, with the writer's error.
func (p *pipe) end() error {
	size := fallback
	if c, err := p.read.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) {
			if n, err := unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0); err == nil {
				size = n
			}
		})
	}
	p.left.Store(int64(size))
	p.ended.Store(true)
	_ = p.read.SetReadDeadline(time.Now().Add(lull))
	return <-p.done
}

// copy reads until the pipe ends or, once it is ended, nothing comes for a lull. After an error
// of the writer it still reads, so no program blocks.
func (p *pipe) copy(to io.Writer) {
	defer p.read.Close()
	buf := make([]byte, 32<<10)
	var bad error
	for {
		last := p.ended.Load()
		if last { // the time that the writer took is not the pipe's
			_ = p.read.SetReadDeadline(time.Now().Add(lull))
		}
		n, err := p.read.Read(buf)
		if n > 0 && bad == nil { // else the output is thrown away, so that no writer waits for us
			_, bad = to.Write(buf[:n])
		}
		if last && p.left.Add(-int64(n)) <= 0 {
			break
		}
		if err != nil && (last || !errors.Is(err, os.ErrDeadlineExceeded)) {
			break
		}
	}
	p.done <- bad
}
