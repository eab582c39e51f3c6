package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
)

// image returns what the engine knows of an image. It pulls the image first if always is set, or if
// it is missing and the source's pull allows it.
func (i *images) image(ctx context.Context, ref string, always bool) (imageInfo, error) {
	if err := reference(ref); err != nil {
		return imageInfo{}, err
	}
	// these exist at the engine alone
	if always && !strings.HasPrefix(ref, "sha256:") && !strings.HasPrefix(ref, "localhost/") {
		if err := i.pull(ctx, ref); err != nil {
			return imageInfo{}, err
		}
		return i.inspectImage(ctx, ref)
	}
	img, err := i.inspectImage(ctx, ref)
	if status(err) != http.StatusNotFound {
		return img, err
	}
	if strings.HasPrefix(ref, "sha256:") { // no registry knows an image by its id
		return img, &compute.Error{
			Kind: compute.ErrNotFound, Err: fmt.Errorf("image %s is not at the engine any more", ref),
			Hint: "build or promote another one",
		}
	}
	if i.p.o.Pull == "never" {
		return img, &compute.Error{
			Kind: compute.ErrNotFound, Err: fmt.Errorf("image %s is not at the engine, and pull = never", ref),
			Hint: i.meant(ctx, ref, "pull or build it there, or leave pull out"),
		}
	}
	if err := i.pull(ctx, ref); err != nil {
		var e *compute.Error
		// registries answer either for a missing image
		if errors.As(err, &e) && !i.p.o.Others.Named(ctx, ref) && (errors.Is(err, compute.ErrNotFound) || errors.Is(err, compute.ErrDenied)) {
			e.Hint = i.meant(ctx, ref, e.Hint)
		}
		return img, err
	}
	return i.inspectImage(ctx, ref)
}

// meant puts before a hint the engine's images with names like that of a missing one.
func (p *images) meant(ctx context.Context, ref, hint string) string {
	var all []struct{ RepoTags []string }
	if err := p.p.eng.do(ctx, http.MethodGet, "/images/json", nil, nil, &all); err != nil {
		return hint // the first error is the one to report
	}
	var names []string
	for _, i := range all {
		names = append(names, i.RepoTags...)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, "<none>") })
	return image.Meant(ref, names, hint)
}

// pull makes the engine fetch an image. It hides the registry's answer if a request named the
// image.
func (i *images) pull(ctx context.Context, ref string) error {
	if err := i.p.o.Others.Check(ctx, ref); err != nil {
		return err
	}
	return i.p.o.Others.Told(ctx, ref, i.fetch(ctx, ref))
}

// fetch makes the engine fetch an image, with the credentials that the user's docker configuration
// has for the registry.
func (i *images) fetch(ctx context.Context, ref string) error {
	begin := time.Now()
	r, err := image.ReadName(i.p.o.Registry, ref, nil)
	if err != nil {
		return err
	}
	if err := i.p.at("pull " + ref); err != nil {
		return err
	}
	i.p.log.Info("pulling an image", "source", i.p.o.Source, "image", ref)
	// The tag by itself: without one an engine fetches all there are.
	query := url.Values{"fromImage": {r.Repository}, "tag": {r.Identifier}}
	auth, err := i.p.o.Registry.Login(ctx, ref)
	if err != nil {
		i.p.log.Warn("pulling without credentials", "source", i.p.o.Source, "image", ref, "err", err)
	}
	var header []string
	if auth != "" {
		header = []string{"X-Registry-Auth", auth}
	}
	resp, err := i.p.eng.call(ctx, http.MethodPost, "/images/create", query, nil, "", header...)
	if err != nil {
		return pullError(ref, err)
	}
	defer resp.Body.Close()
	if err := i.progress(ctx, ref, resp.Body); err != nil {
		return pullError(ref, err)
	}
	i.p.log.Info("pulled an image", "source", i.p.o.Source, "image", ref, "took", time.Since(begin).Round(time.Millisecond))
	return nil
}

// progress reads the engine's reports of a pull: a JSON document for each step. The answer began
// with 200, so errors come in here too.
func (i *images) progress(ctx context.Context, ref string, body io.Reader) error {
	bounded := &atMost{Reader: body}
	dec := json.NewDecoder(bounded)
	for {
		bounded.left = largestStep
		var step struct {
			Status, ID, Error string
			ErrorDetail       struct{ Message string } `json:"errorDetail"`
		}
		err := dec.Decode(&step)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return broken(ctx, err)
		}
		if text := step.Error; text != "" || step.ErrorDetail.Message != "" {
			if text == "" {
				text = step.ErrorDetail.Message
			}
			return errors.New(oneLine([]byte(text)))
		}
		if step.Status != "Downloading" && step.Status != "Extracting" { // those are many a second
			i.p.log.Debug("pulling", "source", i.p.o.Source, "image", ref, "layer", step.ID, "status", step.Status)
		}
	}
}

// pullError adds a kind to the error of a pull. Engines answer 404 and 500 for nearly everything,
// so it looks at the registry's words.
func pullError(ref string, err error) error {
	var e *compute.Error
	if errors.As(err, &e) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	text := strings.ToLower(err.Error())
	out := &compute.Error{Kind: compute.ErrFailed, Err: fmt.Errorf("pull %s: %w", ref, err)}
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has(
		"no matching manifest", "no image found in manifest list", "no image found in image index",
		"does not match the specified platform",
	):
		out.Kind, out.Hint = compute.ErrInvalid, "the registry has this image for other kinds of machine only"
	case has("verification failed", "did not match", "does not match expected", "digest mismatch"):
		out.Hint = "the registry, or what is between, sent something else than it promised"
	case has("no space left"):
		out.Hint, out.Kind = kindOf(err)
	// Before "denied": registries answer for a missing image that access is denied, that it does
	// not exist, or both.
	case has("unauthorized", "authentication required", "no basic auth", "denied"):
		out.Kind, out.Hint = compute.ErrDenied, "is the image's name right? For a private one log in with `docker "+
			"login` as the user who runs hostler"
	case has("manifest unknown", "not found", "name unknown", "does not exist", "repository name not known"):
		out.Kind, out.Hint = compute.ErrNotFound, "is the image's name right?"
	case has("connection refused", "no such host", "timeout", "timed out", "eof", "connection reset", "unreachable", "temporary failure", "500 internal",
		"502 bad", "503 service", "toomanyrequests", "server misbehaving", "lookup ", "client.timeout"):
		out.Kind, out.Hint = compute.ErrUnavailable, "the registry cannot be reached, or breaks off; what the engine "+
			"has already is used with pull = never"
	}
	return out
}
