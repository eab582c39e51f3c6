package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hostler-project/hostler/image/layer"
	"github.com/hostler-project/hostler/image/oci"
)

// layoutVersion is the content of the file oci-layout.
const layoutVersion = `{"imageLayoutVersion":"1.0.0"}`

// writeLayout adds an image to an OCI layout, in place of one with its tag. One process at a time
// writes to a layout, and each file appears complete. So the images in it survive any failure.
func writeLayout(ctx context.Context, img v1.Image, dir, tag string) error {
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		return err
	}
	free, err := lockDir(ctx, dir)
	if err != nil {
		return err
	}
	defer free()
	index, err := readIndex(dir)
	if err != nil {
		return err
	}
	if err := writeBlobs(ctx, img, dir); err != nil {
		return err
	}
	desc, err := partial.Descriptor(img)
	if err != nil {
		return err
	}
	if tag != "" {
		desc.Annotations = map[string]string{oci.AnnotationRef: tag}
	}
	index.Manifests = append(
		slices.DeleteFunc(index.Manifests, func(d v1.Descriptor) bool { return d.Annotations[oci.AnnotationRef] == tag }),
		*desc,
	)
	data, err := json.MarshalIndent(index, "", "   ")
	if err != nil {
		return err
	}
	if err := putFile(
		ctx, filepath.Join(dir, "oci-layout"), int64(len(layoutVersion)), bytes.NewReader([]byte(layoutVersion)),
	); err != nil {
		return err
	}
	return putFile(ctx, filepath.Join(dir, "index.json"), -1, bytes.NewReader(data))
}

// lockDir locks a directory against other exports, where the file system has locks.
func lockDir(ctx context.Context, dir string) (free func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return func() { _ = f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// readIndex reads the index of a layout; a new layout's is empty.
func readIndex(dir string) (*v1.IndexManifest, error) {
	data, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}, nil
	}
	if err != nil {
		return nil, err
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(data))
	if err != nil {
		return nil, layer.Contentf("%s: it is no index of an OCI layout: %w", filepath.Join(dir, "index.json"), err)
	}
	return index, nil
}

// writeBlobs writes the missing blobs of an image.
func writeBlobs(ctx context.Context, img v1.Image, dir string) error {
	file := func(h v1.Hash) string { return filepath.Join(dir, "blobs", h.Algorithm, h.Hex) }
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		h, err1 := l.Digest()
		size, err2 := l.Size()
		r, err3 := l.Compressed()
		if err := errors.Join(err1, err2, err3); err != nil {
			return err
		}
		if err := errors.Join(putFile(ctx, file(h), size, r), r.Close()); err != nil {
			return err
		}
	}
	config, err1 := img.RawConfigFile()
	named, err2 := img.ConfigName()
	manifest, err3 := img.RawManifest()
	digest, err4 := img.Digest()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	if err := putFile(ctx, file(named), int64(len(config)), bytes.NewReader(config)); err != nil {
		return err
	}
	return putFile(ctx, file(digest), int64(len(manifest)), bytes.NewReader(manifest))
}

// putFile writes a file, which appears complete, or replaces it. A file of that size counts as
// there; -1: none does.
func putFile(ctx context.Context, file string, size int64, from io.Reader) (err error) {
	if info, err := os.Stat(file); err == nil && info.Size() == size {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".new-")
	if err != nil {
		return err
	}
	defer func() {
		_ = f.Close()
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	n, err := io.Copy(f, &until{ctx, from})
	if err == nil && size >= 0 && n != size {
		err = fmt.Errorf("%s: %d bytes of %d", file, n, size)
	}
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	return err
}

// until reads until a context ends.
type until struct {
	ctx context.Context
	io.Reader
}

func (u *until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.Reader.Read(p)
}
