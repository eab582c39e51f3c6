package image

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image/layer"
	"github.com/hostler-project/hostler/image/oci"
)

// Content is where manifests, configurations and layers are found by digest. A digest's bytes may
// be wrong: the reader checks them.
type Content interface {
	Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error)
}

// biggestManifest bounds the bytes that are read into memory.
const biggestManifest = 16 << 20

func digestBytes(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// readBlob reads a small blob and checks it.
func readBlob(ctx context.Context, c Content, d oci.Descriptor, what string) ([]byte, error) {
	r, err := c.Open(ctx, d)
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
func choose(ctx context.Context, r Reference, c Content, manifests []oci.Descriptor, want Platform, depth int) (oci.Descriptor, error) {
	var have []Platform
	var open []oci.Descriptor // indexes, and manifests without a platform
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
		var inner oci.Index
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
	return oci.Descriptor{}, wrongPlatform(r, want, have)
}

// readManifest fills o from the manifest d.
func (o *offer) readManifest(ctx context.Context, c Content, d oci.Descriptor) error {
	if d.Digest.Algorithm != "sha256" {
		return layer.Contentf("a manifest is named by %s, and only sha256 is known here", d.Digest.Algorithm)
	}
	raw, err := readBlob(ctx, c, d, "the manifest")
	if err != nil {
		return err
	}
	var m oci.Manifest
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
			open: func(ctx context.Context) (io.ReadCloser, error) { return c.Open(ctx, l) },
		})
	}
	return nil
}

// openLayout reads an OCI layout in a directory.
func (o *offer) openLayout(ctx context.Context) error {
	file := filepath.Join(o.ref.Path, "index.json")
	if _, err := os.Stat(file); err != nil {
		return layer.Contentf("%s is not an OCI layout: %w", o.ref.Path, err)
	}
	index, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return o.readIndex(ctx, layoutContent{o.ref.Path}, index)
}

// readIndex fills o from the index of a layout.
func (o *offer) readIndex(ctx context.Context, c Content, index []byte) error {
	var m oci.Index
	if err := json.Unmarshal(index, &m); err != nil {
		return layer.Contentf("the layout's index cannot be read: %w", err)
	}
	manifests, err := tagged(o.ref, m.Manifests)
	if err != nil {
		return err
	}
	d, err := choose(ctx, o.ref, c, manifests, o.opt.Platform.here(), 0)
	if err != nil {
		return err
	}
	return o.readManifest(ctx, c, d)
}

// tagged picks the manifests of a tag, or digest, of a layout.
func tagged(r Reference, manifests []oci.Descriptor) (out []oci.Descriptor, _ error) {
	if r.Tag == "" {
		names := map[string]bool{}
		for _, d := range manifests {
			names[d.Annotations[oci.AnnotationRef]] = true
		}
		if len(names) > 1 {
			return nil, failed(
				"Pull", r.Name, compute.ErrInvalid, fmt.Errorf("the layout holds several images: %s", tags(manifests)),
				"name one: "+r.Name+":TAG",
			)
		}
		return manifests, nil
	}
	for _, d := range manifests {
		a := d.Annotations
		if a[oci.AnnotationRef] == r.Tag || a[oci.AnnotationName] == r.Tag || strings.HasSuffix(a[oci.AnnotationRef], ":"+r.Tag) ||
			d.Digest.String() == r.Tag {
			out = append(out, d)
		}
	}
	if len(out) == 0 {
		return nil, failed("Pull", r.Name, compute.ErrNotFound, fmt.Errorf("the layout has no %q; it has %s", r.Tag, tags(manifests)), "")
	}
	return out, nil
}

// tags lists a layout's manifests for a message: by their tags, or by digest where there is
// none.
func tags(manifests []oci.Descriptor) string {
	var names []string
	for _, d := range manifests {
		if n := d.Annotations[oci.AnnotationRef]; n != "" {
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
type layoutContent struct{ dir string }

// Open opens a blob, or the data that a descriptor has in itself. It refuses a link, also one
// that replaces the file meanwhile.
func (l layoutContent) Open(_ context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	if d.Data != nil {
		return io.NopCloser(bytes.NewReader(d.Data)), nil
	}
	file := filepath.Join(l.dir, "blobs", d.Digest.Algorithm, d.Digest.Hex)
	info, err := os.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, layer.Contentf("the layout lacks %s, which it names", d.Digest)
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, fmt.Errorf("layout blob %s is a symlink", d.Digest)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("layout blob %s is not a regular file", d.Digest)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	if now, err := f.Stat(); err != nil || !os.SameFile(info, now) {
		_ = f.Close()
		return nil, cmp.Or(err, fmt.Errorf("layout blob %s changed while opening", d.Digest))
	}
	return f, nil
}
