package remote

import (
	"archive/tar"
	"context"
	"errors"
	"io"
)

// source is a Get that is under way.
type source struct {
	tr     *tar.Reader
	pipe   *io.PipeReader
	cancel context.CancelFunc
	done   chan struct{}
	err    error // Get's; valid when done is closed
}

// source begins to get name.
func (c *copier) source(name string) *source {
	ctx, cancel := context.WithCancel(c.ctx)
	pr, pw := io.Pipe()
	s := &source{tr: tar.NewReader(pr), pipe: pr, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.err = c.from.Conn.Get(ctx, name, pw)
		_ = pw.CloseWithError(s.err)
	}()
	return s
}

// first returns the first entry. Where there is none, what Get says is the reason.
func (s *source) first() (*tar.Header, error) {
	h, err := s.tr.Next()
	if err == nil || h != nil && errors.Is(err, tar.ErrInsecurePath) {
		return h, nil
	}
	return nil, s.broken(err)
}

// broken returns why the stream ended too early.
func (s *source) broken(err error) error {
	if rerr := s.rest(); rerr != nil && !errors.Is(rerr, errBehind) {
		return rerr
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// mostBehind is how many bytes may come behind the end of an archive: tar fills up a block of some
// KiB.
const mostBehind = 4 << 20

// rest reads what is behind the end of the archive, and returns what Get says in the end. A
// computer that goes on for ever is not heard to its end.
func (s *source) rest() error {
	n, _ := io.Copy(io.Discard, io.LimitReader(s.pipe, mostBehind+1))
	if n > mostBehind {
		_ = s.stop()
		return errBehind
	}
	<-s.done
	return s.err
}

var errBehind = errors.New("the other side goes on after the end of what it sends")

// stop ends it where it is; it may be called at any time, and again.
func (s *source) stop() error {
	s.cancel()
	_ = s.pipe.CloseWithError(errStopped)
	<-s.done
	return s.err
}
