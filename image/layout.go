package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image/layer"
)

// content is where manifests, configurations and layers are found by digest. A digest's bytes may
// be wrong: the reader checks them.
type content interface {
	open(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error)
}

// biggestManifest bounds the bytes that are read into memory.
const biggestManifest = 16 << 20

func digestBytes(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// readBlob reads a small blob and checks it.
func readBlob(ctx context.Context, c content, d v1.Descriptor, what string) ([]byte, error) {
	r, err := c.open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(io.LimitReader(r, biggestManifest+1))
	// a checked blob that is not right is handled below
	if err != nil && int64(len(b)) < d.Size {
		return nil, err
	}
	if len(b) > biggestManifest {
		return nil, layer.Contentf("%s is of more than %d bytes", what, biggestManifest)
	}
	if got := digestBytes(b); got != d.Digest.String() {
		return nil, &errCorrupt{what, d.Digest.String(), got}
	}
	return b, nil
}

// choose follows indexes down to the manifest for a platform.
func choose(ctx context.Context, r reference, c content, manifests []v1.Descriptor, want Platform, depth int) (v1.Descriptor, error) {
	var have []Platform
	var open []v1.Descriptor // indexes, and manifests without a platform
	for _, d := range manifests {
		if d.MediaType.IsIndex() || d.Platform == nil || d.Platform.OS == "" {
			open = append(open, d)
			continue
		}
		p := Platform{d.Platform.OS, d.Platform.Architecture, d.Platform.Variant}
		if p.suits(want) {
			return d, nil
		}
		have = append(have, p)
	}
	for _, d := range open {
		if !d.MediaType.IsIndex() {
			return d, nil // its configuration has the platform
		}
		if depth > 3 {
			return d, layer.Contentf("indexes within indexes")
		}
		b, err := readBlob(ctx, c, d, "an index")
		if err != nil {
			return d, err
		}
		var inner v1.IndexManifest
		if err := json.Unmarshal(b, &inner); err != nil {
			return d, layer.Contentf("an index cannot be read: %w", err)
		}
		found, err := choose(ctx, r, c, inner.Manifests, want, depth+1)
		if err == nil || !errors.Is(err, compute.ErrInvalid) {
			return found, err
		}
		for _, d := range inner.Manifests {
			if d.Platform != nil {
				have = append(have, Platform{d.Platform.OS, d.Platform.Architecture, d.Platform.Variant})
			}
		}
	}
	return v1.Descriptor{}, wrongPlatform(r, want, have)
}

// readManifest fills o from the manifest d.
func (o *offer) readManifest(ctx context.Context, c content, d v1.Descriptor) error {
	if d.Digest.Algorithm != "sha256" {
		return layer.Contentf("a manifest is named by %s, and only sha256 is known here", d.Digest.Algorithm)
	}
	raw, err := readBlob(ctx, c, d, "the manifest")
	if err != nil {
		return err
	}
	var m v1.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return layer.Contentf("the manifest cannot be read: %w", err)
	}
	if d.MediaType.IsSchema1() || m.SchemaVersion == 1 {
		return layer.Contentf("its manifest is of docker's first form (schema 1), which is not read here")
	}
	if t := m.Config.MediaType; t != "" && !t.IsConfig() {
		return layer.Contentf("it is not an image but something else that registries keep (%s)", t)
	}
	config, err := readBlob(ctx, c, m.Config, "the image's configuration")
	if err != nil {
		return err
	}
	if err := o.readConfig(config, m.Config.Digest.String()); err != nil {
		return err
	}
	o.manifest = d.Digest.String()
	ids := o.file.RootFS.DiffIDs
	if len(ids) != len(m.Layers) {
		return layer.Contentf("its manifest names %d layers, and its configuration %d", len(m.Layers), len(ids))
	}
	for i, l := range m.Layers {
		o.layers = append(o.layers, blob{
			diffID: ids[i].String(), digest: l.Digest.String(), size: l.Size,
			open: func(ctx context.Context) (io.ReadCloser, error) { return c.open(ctx, l) },
		})
	}
	return nil
}

// openLayout reads an OCI layout in a directory.
func (s *Store) openLayout(ctx context.Context, r reference, opt PullOptions, o *offer) error {
	path, err := layout.FromPath(r.path)
	if err != nil {
		return layer.Contentf("%s is not an OCI layout: %w", r.path, err)
	}
	index, err := os.ReadFile(r.path + "/index.json")
	if err != nil {
		return err
	}
	return o.readIndex(ctx, r, layoutContent{path}, index, opt.Platform.here())
}

// readIndex fills o from the index of a layout.
func (o *offer) readIndex(ctx context.Context, r reference, c content, index []byte, want Platform) error {
	var m v1.IndexManifest
	if err := json.Unmarshal(index, &m); err != nil {
		return layer.Contentf("the layout's index cannot be read: %w", err)
	}
	manifests, err := tagged(r, m.Manifests)
	if err != nil {
		return err
	}
	d, err := choose(ctx, r, c, manifests, want, 0)
	if err != nil {
		return err
	}
	return o.readManifest(ctx, c, d)
}

// The annotations by which a layout names its images.
const (
	annotationRef  = "org.opencontainers.image.ref.name"
	annotationName = "io.containerd.image.name"
)

// tagged picks the manifests of a tag, or digest, of a layout.
func tagged(r reference, manifests []v1.Descriptor) (out []v1.Descriptor, _ error) {
	if r.tag == "" {
		names := map[string]bool{}
		for _, d := range manifests {
			names[d.Annotations[annotationRef]] = true
		}
		if len(names) > 1 {
			return nil, failed(
				"Pull", r.name, compute.ErrInvalid, fmt.Errorf("the layout holds several images: %s", tags(manifests)),
				"name one: "+r.name+":TAG",
			)
		}
		return manifests, nil
	}
	for _, d := range manifests {
		a := d.Annotations
		if a[annotationRef] == r.tag || a[annotationName] == r.tag || strings.HasSuffix(a[annotationRef], ":"+r.tag) ||
			d.Digest.String() == r.tag {
			out = append(out, d)
		}
	}
	if len(out) == 0 {
		return nil, failed("Pull", r.name, compute.ErrNotFound, fmt.Errorf("the layout has no %q; it has %s", r.tag, tags(manifests)), "")
	}
	return out, nil
}

func tags(manifests []v1.Descriptor) string {
	var names []string
	for _, d := range manifests {
		if n := d.Annotations[annotationRef]; n != "" {
			names = append(names, n)
		} else {
			names = append(names, d.Digest.String())
		}
	}
	return join(names)
}

func join(names []string) string {
	const most = 12
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// layoutContent reads the blobs of a directory.
type layoutContent struct{ path layout.Path }

func (l layoutContent) open(_ context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	if d.Data != nil {
		return io.NopCloser(bytes.NewReader(d.Data)), nil
	}
	f, err := l.path.Blob(d.Digest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, layer.Contentf("the layout lacks %s, which it names", d.Digest)
	}
	return f, err
}
