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

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

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

// classify adds a kind and a hint to an error of an import.
func (s *Store) classify(ref reference, err error) error {
	var (
		ours    *compute.Error
		answer  *transport.Error
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
	case cut && ref.kind != fromRegistry && ref.kind != fromDaemon:
		err = fmt.Errorf("it is no tar archive, or its end is missing: %w", err)
	case cut && ref.kind == fromRegistry && !errors.As(err, &answer) && !errors.As(err, &corrupt) && !errors.As(err, &content):
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
		full, at := s.dir, (*fs.PathError)(nil)
		hint = "hostler image gc --older-than 1h makes room; what has come so far is not fetched again"
		if errors.As(err, &at) && !strings.HasPrefix(at.Path, s.dir+"/") { // where it goes
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
			hint = s.near(ref.name, hint)
		}
	case ref.kind == fromRegistry, ref.kind == fromDaemon:
		kind, hint = compute.ErrUnavailable, again
	}
	return failed("Pull", ref.name, kind, err, hint)
}

const again = "try again: layers that are here already are not fetched again"

func kindOfAnswer(ref reference, answer *transport.Error) (hint string, kind error) {
	switch code := answer.StatusCode; {
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
