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
	if rerr := s.rest(); rerr != nil {
		return rerr
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// rest reads what is behind the end of the archive, and returns what Get says in the end.
func (s *source) rest() error {
	_, _ = io.Copy(io.Discard, s.pipe)
	<-s.done
	return s.err
}

// stop ends it where it is; it may be called at any time, and again.
func (s *source) stop() error {
	s.cancel()
	_ = s.pipe.CloseWithError(errStopped)
	<-s.done
	return s.err
}
