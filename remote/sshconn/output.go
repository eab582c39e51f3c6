package sshconn

import (
	"io"
	"sync/atomic"
	"time"
)

// sshOutput copies one stream of the far side.
type sshOutput struct {
	done    chan struct{}
	reads   atomic.Int64
	since   atomic.Int64  // when the read that goes on was begun, Unix nanoseconds; 0: none goes on
	writing chan struct{} // holds a token while the caller's writer is at work
	over    chan struct{} // closed when Run is about to return
}

// start copies r to w until r ends, and then closes done.
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

// pass writes b to w, unless writing is over. What comes later is thrown away.
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

// stopWriting makes sure that the caller's writer is not called any more. A call that does not
// return is left alone.
func (o *sshOutput) stopWriting() {
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
