package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/image/layer"
)

// ExportOptions say how to write an image.
type ExportOptions struct {
	Replace  bool            // an existing file may be overwritten
	Progress *image.Progress // of the layers as they are packed; may be nil
}

// Export writes an image of the store, or a plain directory, to a destination, and returns the
// digest of its manifest there. The destination is one of
//
//	NAME[:TAG], docker://NAME           a registry; credentials are docker's or podman's
//	oci:DIR[:TAG]                       an OCI layout, made where it is missing; an image of that tag is replaced
//	oci-archive:FILE[:TAG], FILE.tar    one in a tar file
//	docker-archive:FILE[:NAME:TAG]      what docker load reads
//
// Export packs layers anew from their directories, so the digests differ from those that the image
// came with, but are the same each time. An ordinary user's images have no owners, so all is
// root's. A file appears complete or not at all.
func Export(ctx context.Context, s *image.Store, ref, dest string, opt ExportOptions) (digest string, err error) {
	img, err := s.Find(ref)
	if err != nil {
		return "", err
	}
	to, err := s.Parse(dest)
	if err != nil {
		return "", err
	}
	switch {
	case to.Kind == image.FromDir:
		return "", failed(
			dest, compute.ErrInvalid, errors.New("a directory is not written to as it is"),
			"oci:"+to.Path+" makes an OCI layout there",
		)
	case to.Kind == image.FromDaemon:
		return "", failed(
			dest, compute.ErrInvalid, errors.New("the docker daemon is not written to"),
			"docker-archive:FILE, and docker load -i FILE",
		)
	case to.Kind == image.FromArchive && !opt.Replace:
		if _, err := os.Lstat(to.Path); err == nil {
			return "", failed(
				dest, compute.ErrConflict, errors.New("there is such a file already"),
				"--force writes over it, or name another",
			)
		}
	}
	if to.Kind == image.FromArchive { // before all is packed for nothing
		if _, err := os.Stat(filepath.Dir(to.Path)); err != nil {
			return "", exportError(s, to, err)
		}
	}
	tmp, done, err := s.TempDir()
	if err != nil {
		return "", exportError(s, to, err)
	}
	defer done()
	if err := s.Use(ctx, img.Digest, tmp); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Release(img.Digest, tmp)) }()
	out, err := packImage(ctx, img, tmp, opt.Progress)
	if err == nil {
		if to.Form == "docker" && to.Tag == "" {
			to.Tag = tagFor(s, img.Name)
		}
		err = send(ctx, out, to, tmp)
	}
	var h v1.Hash
	if err == nil {
		h, err = out.Digest()
	}
	if err != nil {
		return "", exportError(s, to, err)
	}
	return h.String(), nil
}

// failed makes an error of an export.
func failed(ref string, kind, err error, hint string) error {
	return &compute.Error{Op: "image.Export", ID: compute.ID(ref), Kind: kind, Err: err, Hint: hint}
}

// exportError adds a kind and a hint to an error of an export.
func exportError(s *image.Store, to image.Reference, err error) error {
	return s.ExportError(to, refusal(to.Registry, err))
}

// send writes a packed image to its destination.
func send(ctx context.Context, img v1.Image, to image.Reference, tmp string) error {
	switch to.Kind {
	case image.FromLayout:
		return writeLayout(ctx, img, to.Path, to.Tag)
	case image.FromArchive:
		return writeArchive(ctx, img, to, tmp)
	}
	base := remote.DefaultTransport.(*http.Transport).Clone()
	defer base.CloseIdleConnections()
	ref, err := reference(to.Registry)
	if err != nil {
		return err
	}
	return remote.Write(
		ref, img, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithUserAgent("hostler"), remote.WithTransport(base),
	)
}

// tagFor returns docker's name for an image where the caller gives none: its own, if docker could
// have it.
func tagFor(s *image.Store, own string) string {
	if r, err := s.Parse(own); err == nil && r.Kind == image.FromRegistry && r.Registry.Tagged {
		return r.Registry.Full
	}
	return "exported:latest"
}

// writeArchive writes a tar file with an image; it appears complete or not at all.
func writeArchive(ctx context.Context, img v1.Image, to image.Reference, tmp string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(to.Path), "."+filepath.Base(to.Path)+".")
	if err != nil {
		return err
	}
	defer func() {
		_ = f.Close()
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if to.Form == "docker" {
		n, e := name.NewTag(to.Tag)
		if e != nil {
			return failed(to.Name, compute.ErrInvalid, plainName(to.Tag, e), "docker-archive:FILE:NAME:TAG")
		}
		err = tarball.Write(n, img, f)
	} else {
		dir := filepath.Join(tmp, "layout")
		if err = writeLayout(ctx, img, dir, to.Tag); err == nil {
			err = layer.Pack(ctx, dir, false, f)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = os.Rename(f.Name(), to.Path)
	}
	return err
}

// packImage packs the layers of an image into files in tmp.
func packImage(ctx context.Context, img image.Image, tmp string, p *image.Progress) (v1.Image, error) {
	if p == nil {
		p = &image.Progress{}
	}
	p.Layers.Store(int64(len(img.Layers)))
	p.Size.Store(img.Size)
	var layers []mutate.Addendum
	for i, l := range img.Layers {
		packed, err := packLayer(ctx, l.Dir, img.Owners, filepath.Join(tmp, fmt.Sprintf("layer-%d", i)), p)
		if err != nil {
			return nil, err
		}
		p.Ready.Add(1)
		layers = append(layers, mutate.Addendum{Layer: packed, MediaType: types.OCILayer, History: v1.History{CreatedBy: "hostler"}})
	}
	out := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	out, err := mutate.ConfigFile(out, configFile(img))
	if err != nil {
		return nil, err
	}
	return mutate.Append(out, layers...)
}

// configFile returns an image's configuration in the library's form.
func configFile(img image.Image) *v1.ConfigFile {
	c := img.ConfigFile()
	return &v1.ConfigFile{
		OS: c.OS, Architecture: c.Architecture, Variant: c.Variant, Created: v1.Time{Time: c.Created},
		RootFS: v1.RootFS{Type: c.RootFS.Type},
		Config: v1.Config{
			User: c.Config.User, Env: c.Config.Env, Entrypoint: c.Config.Entrypoint, Cmd: c.Config.Cmd, WorkingDir: c.Config.WorkingDir,
			Labels: c.Config.Labels, ExposedPorts: c.Config.ExposedPorts, Volumes: c.Config.Volumes, StopSignal: c.Config.StopSignal,
		},
	}
}

// packLayer packs a directory into a file, compressed.
func packLayer(ctx context.Context, dir string, owners bool, file string, p *image.Progress) (*packedLayer, error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	small, plain := sha256.New(), sha256.New()
	z := gzip.NewWriter(io.MultiWriter(f, small))
	if err := layer.Pack(ctx, dir, owners, io.MultiWriter(z, plain, counted{p})); err != nil {
		return nil, err
	}
	if err := errors.Join(z.Close(), f.Close()); err != nil {
		return nil, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	return &packedLayer{
		file: file, size: info.Size(), digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(small.Sum(nil))},
		diffID: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(plain.Sum(nil))},
	}, nil
}

// counted adds the written bytes to a progress.
type counted struct{ p *image.Progress }

func (c counted) Write(b []byte) (int, error) {
	c.p.Done.Add(int64(len(b)))
	return len(b), nil
}

// packedLayer is a layer in a file.
type packedLayer struct {
	file           string
	size           int64
	digest, diffID v1.Hash
}

func (l *packedLayer) Digest() (v1.Hash, error)            { return l.digest, nil }
func (l *packedLayer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l *packedLayer) Size() (int64, error)                { return l.size, nil }
func (l *packedLayer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }
func (l *packedLayer) Compressed() (io.ReadCloser, error)  { return os.Open(l.file) }

// Uncompressed unpacks the layer while it is read.
func (l *packedLayer) Uncompressed() (io.ReadCloser, error) {
	f, err := os.Open(l.file)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{z, f}, nil
}
