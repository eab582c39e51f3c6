package container

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/compute"
)

// The grammar of the engines' own names: [HOST[:PORT]/]PATH[:TAG][@DIGEST].
const (
	label     = `[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?`
	host      = `(` + label + `(\.` + label + `)*|\[[0-9a-fA-F:]+\])(:[0-9]+)?`
	component = `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
)

var imageName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(
		`^(` + host + `/)?` + component + `(/` + component + `)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@[a-z0-9+._-]+:[0-9a-f]{32,})?$`,
	)
})

// reference refuses what is no name of an image, before it becomes a part of an engine's path.
// Registries accept more than engines do: dots and slashes in any order, which lead to other paths
// there.
func reference(ref string) error {
	fail := func(err error) error {
		return &compute.Error{
			Kind: compute.ErrInvalid, Err: fmt.Errorf("image = %s: %w", ref, err),
			Hint: "name it as debian:13, registry.example/team/image:tag, or NAME@sha256:DIGEST",
		}
	}
	if len(ref) > 512 || !imageName().MatchString(ref) {
		return fail(fmt.Errorf("%.100q is no name of an image", ref))
	}
	if !bounded(ref) {
		return fail(fmt.Errorf("could not parse reference: %s", ref))
	}
	return nil
}

// bounded reports whether a name of the grammar is within the bounds that registries set: for the
// length of a repository, a host that an address can have, and the digests that there are.
func bounded(ref string) bool {
	ref, digest, pinned := strings.Cut(ref, "@")
	algorithm, hex, _ := strings.Cut(digest, ":")
	if pinned && len(hex) != map[string]int{"sha256": 64, "sha384": 96, "sha512": 128}[algorithm] {
		return false
	}
	if at := strings.LastIndexByte(ref, ':'); at > strings.LastIndexByte(ref, '/') {
		ref = ref[:at]
	}
	if first, rest, ok := strings.Cut(ref, "/"); ok && (first == "localhost" || strings.ContainsAny(first, ".:")) {
		if at, err := url.Parse("//" + first); err != nil || at.Host != first {
			return false
		}
		ref = rest
	}
	return len(ref) <= 255
}

// imagePath is the engine's path of an image.
func imagePath(ref string) string { return "/images/" + (&url.URL{Path: ref}).EscapedPath() }

// inspectImage asks the engine about an image.
func (i *images) inspectImage(ctx context.Context, ref string) (img imageInfo, err error) {
	if err := reference(ref); err != nil {
		return img, err
	}
	return img, i.p.eng.do(ctx, http.MethodGet, imagePath(ref)+"/json", nil, nil, &img)
}
