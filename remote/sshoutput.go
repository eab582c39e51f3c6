package remote

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// writer makes the first error of the caller's writer the end of the command, as a closed pipe would be.
func (r *sshRun) writer(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return sshWriter(func(b []byte) (int, error) {
		if _, err := w.Write(b); err != nil {
			r.broken.Do(func() { close(r.unread) })
		}
		return len(b), nil
	})
}

type oneAtATime struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *oneAtATime) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(b)
}

type sshWriter func([]byte) (int, error)

func (f sshWriter) Write(b []byte) (int, error) { return f(b) }

// sshOutput copies one stream of the far side.
type sshOutput struct {
	done    chan struct{}
	reads   atomic.Int64
	since   atomic.Int64  // when the read that goes on was begun, Unix nanoseconds; 0: none goes on
	writing chan struct{} // holds a token while the caller's writer is at work
	over    chan struct{} // closed when Run is about to return
}

func (o *sshOutput) start(r io.Reader, w io.Writer) {
	o.done, o.writing, o.over = make(chan struct{}), make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(o.done)
		buf := make([]byte, 32<<10)
		for {
			o.since.Store(time.Now().UnixNano())
			n, err := r.Read(buf)
			o.since.Store(0)
			o.reads.Add(1)
			if n > 0 {
				o.pass(w, buf[:n])
			}
			if err != nil {
				return
			}
		}
	}()
}

func (o *sshOutput) pass(w io.Writer, b []byte) {
	select {
	case o.writing <- struct{}{}:
		select {
		case <-o.over:
		default:
			_, _ = w.Write(b)
		}
		<-o.writing
	case <-o.over:
	}
}

// shut makes sure that the caller's writer is not called any more. A call that does not return is left alone.
func (o *sshOutput) shut() {
	close(o.over)
	select {
	case o.writing <- struct{}{}:
		<-o.writing
	case <-time.After(answerTime):
	}
}

// idle is how long nothing has come; a stream that has ended is idle for ever.
func (o *sshOutput) idle() time.Duration {
	select {
	case <-o.done:
		return time.Hour
	default:
	}
	if at := o.since.Load(); at != 0 {
		return time.Since(time.Unix(0, at))
	}
	return 0
}

func (o *sshOutput) wait(d time.Duration) {
	select {
	case <-o.done:
	case <-time.After(d):
	}
}

// longestMark bounds the script's own lines. Whoever writes a longer one knows our word and is not our script.
const longestMark = 1 << 10

// preamble takes the script's own lines off the beginning of the output, and what a log-in shell's start-up files may have written before.
type preamble struct {
	nonce  string
	w      io.Writer
	began  func(pid, group int, rest []string) // called before the command's first output
	failed func(status int)                    // it could not be started
	before *tail                               // keeps what came before the first line; may be nil

	held  []byte
	state int // 0: before the first line; 1: right behind it, where the second may be; 2: the command's output
}

func (p *preamble) Write(b []byte) (int, error) {
	if p.state == 2 {
		return p.w.Write(b)
	}
	p.held = append(p.held, b...)
	mark := []byte(sshMark + p.nonce + " ")
	for p.state < 2 {
		at := bytes.Index(p.held, mark)
		if p.state == 1 && at != 0 {
			if len(p.held) < len(mark) && bytes.HasPrefix(mark, p.held) {
				return len(b), nil // may become one
			}
			p.state = 2
			break
		}
		if at < 0 {
			if keep := len(mark); len(p.held) > keep {
				p.noise(p.held[:len(p.held)-keep])
				p.held = append([]byte(nil), p.held[len(p.held)-keep:]...)
			}
			return len(b), nil
		}
		end := bytes.IndexByte(p.held[at:], '\n')
		if end < 0 && len(p.held)-at > longestMark {
			p.state = 2 // it goes to the caller as it is, and the command never started
			break
		}
		if end < 0 {
			p.noise(p.held[:at])
			p.held = p.held[at:]
			return len(b), nil
		}
		p.noise(p.held[:at])
		words := strings.Fields(string(p.held[at+len(mark) : at+end]))
		p.held = p.held[at+end+1:]
		p.line(words)
	}
	if len(p.held) > 0 {
		_, err := p.w.Write(p.held)
		p.held = nil
		return len(b), err
	}
	return len(b), nil
}

func (p *preamble) line(words []string) {
	p.state++
	if len(words) >= 3 && words[0] == "S" && p.state == 1 {
		pid, _ := strconv.Atoi(words[1])
		group, _ := strconv.Atoi(words[2])
		p.began(pid, group, words[3:])
	}
	if len(words) == 2 && words[0] == "X" {
		n, _ := strconv.Atoi(words[1])
		p.failed(n)
		p.state = 2
	}
}

func (p *preamble) noise(b []byte) {
	if p.before != nil {
		_, _ = p.before.Write(b)
	}
}
