package cache

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

const (
	uploadTimeout = time.Hour
	fetchTries    = 5 // of a content whose connection breaks, each from where the last one ended
)

// A Store holds content by its digest.
type Store struct{ d *Directory }

// OpenStore makes a client of a store, as [OpenDirectory] does of a directory; Signers mean nothing
// to it. The timeout is how long nothing may come.
func OpenStore(o Options) (*Store, error) {
	d, err := OpenDirectory(o)
	if err != nil {
		return nil, err
	}
	d.stall, d.http.Timeout = d.http.Timeout, 0
	return &Store{d}, nil
}

// Close ends the connections that are kept for the next question.
func (s *Store) Close() { s.d.Close() }

// Get writes the content of a digest, and resumes where a connection breaks, if the server can. It
// fails with [client.ErrNotFound] if there is none, and with [proto.ErrMalformed] if the content is
// another one or has more bytes than most. After any error the written bytes are worthless.
func (s *Store) Get(ctx context.Context, digest string, to io.Writer, most int64) error {
	if !isHex(digest, 128) {
		return s.d.error(0, proto.ErrMalformed, errors.New("no digest"))
	}
	hash := sha512.New()
	var got int64
	for try := 1; ; try++ {
		more, err := s.get(ctx, digest, io.MultiWriter(to, hash), got, most)
		got += more
		var broken *brokenError
		if errors.As(err, &broken) && broken.resumes && try < fetchTries {
			continue
		}
		if err != nil {
			return err
		}
		if hex.EncodeToString(hash.Sum(nil)) != digest {
			return s.d.error(http.StatusOK, proto.ErrMalformed, errors.New("the content is not that of its digest"))
		}
		return nil
	}
}

// brokenError is the end of a connection within a content.
type brokenError struct {
	error
	resumes bool
}

func (e *brokenError) Unwrap() error { return e.error }

// get asks once, from a place on, and returns how much was written.
func (s *Store) get(ctx context.Context, digest string, to io.Writer, from, most int64) (n int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(s.d.stall, func() { cancel(fmt.Errorf("nothing came for %s", s.d.stall)) })
	defer late.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.d.base.JoinPath(digest).String(), http.NoBody)
	if err != nil {
		return 0, err
	}
	if from > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	answer, err := s.d.http.Do(request)
	if err != nil {
		return 0, s.d.fault(ctx, err)
	}
	defer answer.Body.Close()
	if err := s.d.refused(answer.StatusCode, http.StatusOK, http.StatusPartialContent); err != nil {
		return 0, err
	}
	if answer.StatusCode == http.StatusOK && from > 0 { // all of it again
		if _, err := io.CopyN(io.Discard, answer.Body, from); err != nil {
			return 0, s.d.fault(ctx, err)
		}
	} else if from > 0 && !strings.HasPrefix(answer.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", from)) {
		return 0, s.d.error(answer.StatusCode, proto.ErrMalformed, errors.New("another part than was asked for"))
	}
	resumes := from > 0 || answer.Header.Get("Accept-Ranges") == "bytes"
	buffer := make([]byte, 256<<10)
	for {
		read, err := answer.Body.Read(buffer)
		late.Reset(s.d.stall)
		if n += int64(read); from+n > most {
			return n, s.d.error(answer.StatusCode, proto.ErrMalformed, fmt.Errorf("a content of more than %d bytes", most))
		}
		if _, err := to.Write(buffer[:read]); err != nil {
			return n, err
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, &brokenError{s.d.fault(ctx, err), resumes && read+int(n) > 0}
		}
	}
}

// Has says whether the store has a content.
func (s *Store) Has(ctx context.Context, digest string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.d.stall)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.d.base.JoinPath(digest).String(), http.NoBody)
	if err != nil {
		return false, err
	}
	answer, err := s.d.http.Do(request)
	if err != nil {
		return false, s.d.fault(ctx, err)
	}
	answer.Body.Close() // the answer's body is not needed
	err = s.d.refused(answer.StatusCode, http.StatusOK)
	if errors.Is(err, client.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Put uploads a content of a size, unless the store has it.
func (s *Store) Put(ctx context.Context, digest string, content io.Reader, size int64) error {
	if has, err := s.Has(ctx, digest); err != nil || has {
		return err
	}
	return s.d.send(ctx, http.MethodPost, s.d.base, "application/octet-stream", content, size)
}

// Add puts an entry into the directory, in place of all that the key has.
func (d *Directory) Add(ctx context.Context, key, text, signature string) error {
	body := formEntry(text, signature)
	return d.send(ctx, http.MethodPut, d.base.JoinPath(url.PathEscape(key)), "application/json", strings.NewReader(body), int64(len(body)))
}

// send sends something that is to be kept.
func (d *Directory) send(ctx context.Context, method string, to *url.URL, kind string, content io.Reader, size int64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, uploadTimeout, fmt.Errorf("it took more than %s", uploadTimeout))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, to.String(), io.NopCloser(content))
	if err != nil {
		return err
	}
	request.ContentLength = size
	request.Header.Set("Content-Type", kind)
	sender := *d.http
	sender.Timeout = 0
	answer, err := sender.Do(request)
	if err != nil {
		return d.fault(ctx, err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, 4096)
	return d.refused(answer.StatusCode, http.StatusCreated)
}

// refused is the error of an unexpected status.
func (d *Directory) refused(status int, wanted ...int) error {
	for _, one := range wanted {
		if status == one {
			return nil
		}
	}
	switch status {
	case http.StatusNotFound:
		return d.error(status, client.ErrNotFound, nil)
	case http.StatusUnauthorized, http.StatusForbidden:
		return d.error(status, client.ErrDenied, nil)
	}
	return d.error(status, client.ErrRefused, nil)
}
