package image

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image/layer"
	"github.com/hostler-project/hostler/policy/fetch"
	"github.com/hostler-project/hostler/text/visible"
)

// Others say how to fetch images that a request names, and not the owner of this machine: a
// controller's user. Such an image must come from a registry, never from this machine's files, and
// Guard decides on the way to it. Its answers appear in no error, only in the log. A nil Others is
// none.
type Others struct {
	Registry Registry // reads the names; required
	Guard    *fetch.Guard
	// images of the owner's configuration: they are fetched as usual
	Own []string
	Log *slog.Logger // the errors, with the registry's answers
}

// Named reports whether a request, and not the owner, has named an image.
func (o *Others) Named(ctx context.Context, ref string) bool {
	if o == nil {
		return false
	}
	home, _ := os.UserHomeDir() // without one nothing is in it
	own := func(n string) bool { return n == ref || InHome(n, home) == ref }
	who, _ := fetch.RequesterOf(ctx)
	return !who.Operator && !slices.ContainsFunc(o.Own, own) && !strings.HasPrefix(ref, "sha256:")
}

// Check decides whether another program of this machine, such as a container engine, may fetch an
// image. nil: it may.
func (o *Others) Check(ctx context.Context, ref string) error {
	if !o.Named(ctx, ref) {
		return nil
	}
	r, err := parseOthers(o.Registry, ref, nil)
	if err != nil {
		return err
	}
	if err := o.Guard.Check(ctx, r.endpoint()); err != nil {
		return o.told(r, err)
	}
	return nil
}

// Told returns an error of such a program in the words that its caller may see.
func (o *Others) Told(ctx context.Context, ref string, err error) error {
	if err == nil || !o.Named(ctx, ref) {
		return err
	}
	r, bad := parseOthers(o.Registry, ref, nil)
	if bad != nil {
		return bad
	}
	return o.told(r, err)
}

// endpoint is the HOST:PORT of a reference's registry.
func (r Reference) endpoint() string {
	host := r.host()
	if strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']') {
		return host
	}
	return host + map[bool]string{true: ":80", false: ":443"}[r.Registry.Plain]
}

// errOwners refuses names of this machine's files. It is the same whether they exist or not,
// because nobody looked.
var errOwners = errors.New("an image of this machine's files or engine is for its owner alone")

// parseOthers parses the reference of a request: it must be a registry's. No file is looked at.
func parseOthers(by Registry, ref string, insecure []string) (Reference, error) {
	bad := func(kind, err error, hint string) (Reference, error) {
		return Reference{}, &compute.Error{Op: "image.Parse", ID: compute.ID(ref), Kind: kind, Err: err, Hint: hint}
	}
	scheme, rest, _ := strings.Cut(ref, ":")
	switch {
	case slices.Contains([]string{"oci", "oci-archive", "docker-archive", "dir", "docker-daemon"}, scheme),
		strings.HasPrefix(ref, "/"), strings.HasPrefix(ref, "."), strings.HasPrefix(ref, "~"):
		return bad(compute.ErrDenied, errOwners, "NAME[:TAG|@DIGEST] names one of a registry")
	case scheme == "docker":
		ref = strings.TrimPrefix(rest, "//")
	}
	r, err := named(FromRegistry, ref).read(by, insecure)
	if errors.Is(err, compute.ErrInvalid) {
		return bad(compute.ErrInvalid, errors.New("not the name of an image"), "NAME[:TAG|@DIGEST]")
	}
	return r, err
}

// told returns what the caller is told of an error: its kind, and nothing that a remote has said.
func (o *Others) told(r Reference, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	out := o.words(r, err)
	out.Op, out.ID = "image.Pull", compute.ID(r.Name)
	// a refusal is logged where it is made
	if o.Log != nil && !errors.As(err, new(*fetch.Refused)) {
		o.Log.Warn("an image that was asked for is not fetched", "image", logged(r.Name), "err", logged(err.Error()))
	}
	return out
}

// words returns an error that names the kind of failure and the registry, and no answer of it.
func (o *Others) words(r Reference, err error) *compute.Error {
	var (
		refused *fetch.Refused
		unknown *fetch.Unknown
		answer  *Refusal
		corrupt *errCorrupt
		content *layer.ContentError
		ours    *compute.Error
		host    = r.host()
	)
	switch {
	case errors.As(err, &refused):
		return &compute.Error{Kind: compute.ErrDenied, Err: refused, Hint: fetch.Hint}
	case errors.As(err, &unknown):
		return &compute.Error{Kind: compute.ErrUnavailable, Err: unknown}
	case errors.As(err, &answer):
		hint, kind := kindOfAnswer(r, answer)
		return &compute.Error{
			Kind: kind, Err: fmt.Errorf("%s answers %d %s", host, answer.Status, http.StatusText(answer.Status)),
			Hint: hint,
		}
	case errors.As(err, &corrupt), errors.As(err, &content):
		return &compute.Error{
			Kind: compute.ErrFailed,
			Err:  fmt.Errorf("what %s has under this name is no image that can be used here", host),
		}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &compute.Error{Kind: compute.ErrUnavailable, Err: errors.New("there is no room for it")}
	case errors.As(err, &ours) && (errors.Is(ours, compute.ErrNotFound) || errors.Is(ours, compute.ErrDenied)):
		return &compute.Error{Kind: ours.Kind, Err: fmt.Errorf("%s has no such image, or wants a login", host)}
	case errors.As(err, &ours) && errors.Is(ours, compute.ErrInvalid):
		return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("what %s has under this name does not run here", host)}
	}
	return &compute.Error{
		Kind: compute.ErrUnavailable, Err: fmt.Errorf("%s does not answer as a registry of images does", host),
		Hint: again,
	}
}

// logged is a foreign text, short and on one line.
func logged(s string) string {
	const most = 500
	if len(s) > most {
		s = s[:most] + "..."
	}
	return visible.Line(s)
}
