package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image/layer"
)

// failed makes an error of this package. An error that is one already keeps its kind and hint.
func failed(op, ref string, kind error, err error, hint string) error {
	var e *compute.Error
	if errors.As(err, &e) {
		return err
	}
	return &compute.Error{Op: "image." + op, ID: compute.ID(ref), Kind: kind, Err: err, Hint: hint}
}

// errCorrupt means that content does not match its digest.
type errCorrupt struct{ what, want, got string }

func (e *errCorrupt) Error() string {
	return fmt.Sprintf("%s is corrupt: its digest is %s, and should be %s", e.what, e.got, e.want)
}

// Refusal is an answer of a registry that is no success.
type Refusal struct {
	Status int // HTTP's
	Err    error
}

// Error returns the text of the registry's answer.
func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap returns the error with the answer.
func (r *Refusal) Unwrap() error { return r.Err }

// ExportError adds a kind and a hint to an error of writing an image to a destination.
func (s *Store) ExportError(to Reference, err error) error {
	var e *compute.Error
	if err = s.classify(to, err); errors.As(err, &e) && e.Op == "image.Pull" {
		e.Op = "image.Export"
		if e.Hint == again {
			e.Hint = "try again: what the registry has already is not sent again"
		}
	}
	return err
}

// classify adds a kind and a hint to an error of an import.
func (s *Store) classify(ref Reference, err error) error {
	var (
		ours    *compute.Error
		answer  *Refusal
		corrupt *errCorrupt
		content *layer.ContentError
		large   *layer.TooLargeError
		network net.Error
	)
	if err == nil || errors.As(err, &ours) {
		return err
	}
	kind, hint := error(compute.ErrFailed), ""
	switch cut := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); {
	case cut && ref.Kind != FromRegistry && ref.Kind != FromDaemon:
		err = fmt.Errorf("it is no tar archive, or its end is missing: %w", err)
	case cut && ref.Kind == FromRegistry && !errors.As(err, &answer) && !errors.As(err, &corrupt) && !errors.As(err, &content):
		err = fmt.Errorf("%s broke the connection off: %w", ref.host(), err)
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &network):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		kind, hint = compute.ErrUnavailable, again
	case errors.As(err, &large):
		kind, hint = compute.ErrInvalid, large.Key+" in [images] of hostler.conf says how much an image may have"
	case errors.As(err, &corrupt), errors.As(err, &content):
		// it keeps its kind
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		full, at := s.tree.dir, (*fs.PathError)(nil)
		hint = "hostler image gc --older-than 1h makes room; what has come so far is not fetched again"
		// where it goes
		if errors.As(err, &at) && !strings.HasPrefix(at.Path, s.tree.dir+"/") {
			full, hint = filepath.Dir(at.Path), "make room there, or name another place"
		}
		err = fmt.Errorf("the disk of %s is full: %w", full, err)
	case errors.Is(err, syscall.EOPNOTSUPP):
		hint = "set XDG_CACHE_HOME to a directory on another file system; hostler doctor tries it"
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		kind = compute.ErrDenied
	case errors.As(err, &answer):
		hint, kind = kindOfAnswer(ref, answer)
		// registries answer either for a missing image
		if errors.Is(kind, compute.ErrNotFound) || errors.Is(kind, compute.ErrDenied) {
			hint = s.near(ref.Name, hint)
		}
	case ref.Kind == FromRegistry, ref.Kind == FromDaemon:
		kind, hint = compute.ErrUnavailable, again
	}
	return failed("Pull", ref.Name, kind, err, hint)
}

const again = "try again: layers that are here already are not fetched again"

// kindOfAnswer judges a registry's refusal by its status. Some registries answer 401 for an
// image that does not exist.
func kindOfAnswer(ref Reference, answer *Refusal) (hint string, kind error) {
	switch code := answer.Status; {
	case code == http.StatusNotFound:
		return "no such image or tag there, or one that needs a login", compute.ErrNotFound
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return "docker login " + ref.host() + " (or podman login): its file of credentials is read; or there is no such image",
			compute.ErrDenied
	case code == http.StatusTooManyRequests:
		return "the registry limits how much one may fetch: try later, or log in", compute.ErrUnavailable
	}
	return again, compute.ErrUnavailable
}
