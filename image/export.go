package image

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
	"github.com/hostler-project/hostler/image/layer"
)

// ExportOptions say how to write an image.
type ExportOptions struct {
	Replace  bool      // an existing file may be overwritten
	Progress *Progress // of the layers as they are packed; may be nil
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
func (s *Store) Export(ctx context.Context, ref, dest string, opt ExportOptions) (digest string, err error) {
	img, err := s.Find(ref)
	if err != nil {
		return "", err
	}
	to, err := parse(dest, s.opt.Insecure)
	if err != nil {
		return "", err
	}
	switch {
	case to.kind == fromDir:
		return "", failed(
			"Export", dest, compute.ErrInvalid, errors.New("a directory is not written to as it is"),
			"oci:"+to.path+" makes an OCI layout there",
		)
	case to.kind == fromDaemon:
		return "", failed(
			"Export", dest, compute.ErrInvalid, errors.New("the docker daemon is not written to"),
			"docker-archive:FILE, and docker load -i FILE",
		)
	case to.kind == fromArchive && !opt.Replace:
		if _, err := os.Lstat(to.path); err == nil {
			return "", failed(
				"Export", dest, compute.ErrConflict, errors.New("there is such a file already"),
				"--force writes over it, or name another",
			)
		}
	}
	if to.kind == fromArchive { // before all is packed for nothing
		if _, err := os.Stat(filepath.Dir(to.path)); err != nil {
			return "", s.classifyExport(to, err)
		}
	}
	tmp, done, err := s.tempDir()
	if err != nil {
		return "", s.classifyExport(to, err)
	}
	defer done()
	if err := s.Use(ctx, img.Digest, tmp); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Release(img.Digest, tmp)) }()
	out, err := packImage(ctx, img, tmp, opt.Progress)
	if err == nil {
		if to.want == "docker" && to.tag == "" {
			to.tag = s.tagFor(img.Name)
		}
		err = s.send(ctx, out, to, tmp)
	}
	var h v1.Hash
	if err == nil {
		h, err = out.Digest()
	}
	if err != nil {
		return "", s.classifyExport(to, err)
	}
	return h.String(), nil
}

// classifyExport adds a kind and a hint to an error of an export.
func (s *Store) classifyExport(to reference, err error) error {
	var e *compute.Error
	if err = s.classify(to, err); errors.As(err, &e) && e.Op == "image.Pull" {
		e.Op = "image.Export"
		if e.Hint == again {
			e.Hint = "try again: what the registry has already is not sent again"
		}
	}
	return err
}

// send writes a packed image to its destination.
func (s *Store) send(ctx context.Context, img v1.Image, to reference, tmp string) error {
	switch to.kind {
	case fromLayout:
		return writeLayout(ctx, img, to.path, to.tag)
	case fromArchive:
		return writeArchive(ctx, img, to, tmp)
	}
	base := remote.DefaultTransport.(*http.Transport).Clone()
	defer base.CloseIdleConnections()
	return remote.Write(
		to.reg, img, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithUserAgent("hostler"), remote.WithTransport(base),
	)
}

// tagFor returns docker's name for an image where the caller gives none: its own, if docker could
// have it.
func (s *Store) tagFor(own string) string {
	if r, err := parse(own, s.opt.Insecure); err == nil {
		if t, ok := r.reg.(name.Tag); ok {
			return t.Name()
		}
	}
	return "exported:latest"
}

// writeArchive writes a tar file with an image; it appears complete or not at all.
func writeArchive(ctx context.Context, img v1.Image, to reference, tmp string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(to.path), "."+filepath.Base(to.path)+".")
	if err != nil {
		return err
	}
	defer func() {
		_ = f.Close()
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if to.want == "docker" {
		n, e := name.NewTag(to.tag)
		if e != nil {
			return failed("Export", to.name, compute.ErrInvalid, plainName(to.tag, e), "docker-archive:FILE:NAME:TAG")
		}
		err = tarball.Write(n, img, f)
	} else {
		dir := filepath.Join(tmp, "layout")
		if err = writeLayout(ctx, img, dir, to.tag); err == nil {
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
		err = os.Rename(f.Name(), to.path)
	}
	return err
}

// packImage packs the layers of an image into files in tmp.
func packImage(ctx context.Context, img Image, tmp string, p *Progress) (v1.Image, error) {
	if p == nil {
		p = &Progress{}
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
	out, err := mutate.ConfigFile(out, img.configFile())
	if err != nil {
		return nil, err
	}
	return mutate.Append(out, layers...)
}

// configFile returns an image's configuration in OCI's form.
func (i Image) configFile() *v1.ConfigFile {
	set := func(names []string) map[string]struct{} {
		m := map[string]struct{}{}
		for _, n := range names {
			m[n] = struct{}{}
		}
		return m
	}
	c, p := i.Config, i.Platform.here()
	f := &v1.ConfigFile{OS: p.OS, Architecture: p.Arch, Variant: p.Variant, RootFS: v1.RootFS{Type: "layers"}, Config: v1.Config{
		User: c.User, Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd, WorkingDir: c.WorkingDir, Labels: c.Labels,
		ExposedPorts: set(c.ExposedPorts), Volumes: set(c.Volumes), StopSignal: c.StopSignal,
	}}
	if !i.Built.IsZero() {
		f.Created = v1.Time{Time: i.Built}
	}
	return f
}

// packLayer packs a directory into a file, compressed.
func packLayer(ctx context.Context, dir string, owners bool, file string, p *Progress) (*packedLayer, error) {
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
type counted struct{ p *Progress }

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

// tempDir makes a directory. done removes it; gc does when this process is gone.
func (s *Store) tempDir() (dir string, done func(), err error) {
	if dir, err = os.MkdirTemp(filepath.Join(s.dir, "tmp"), "new-"); err != nil {
		return "", nil, err
	}
	f, err := os.Open(dir)
	if err == nil {
		err = flock(f, exclusive)
	}
	return dir, func() {
		_ = layer.RemoveTree(dir)
		_ = f.Close()
	}, err
}

// Tag gives a local image another name, in a registry's form, and takes it from the image that had
// it. Other calls find the image by it. No registry is asked whether it has the name too.
func (s *Store) Tag(ctx context.Context, ref, as string) (Image, error) {
	to, err := tagOf(as, s.opt.Insecure)
	if err != nil {
		return Image{}, err
	}
	l, err := s.lock(ctx, storeLock, shared)
	if err != nil {
		return Image{}, failed("Tag", ref, compute.ErrFailed, err, "")
	}
	defer l.unlock()
	img, err := s.Find(ref)
	if err != nil {
		return Image{}, err
	}
	if img.Digest == "" {
		return Image{}, failed(
			"Tag", ref, compute.ErrInvalid, errors.New("it is a directory of yours, not one of the store's"),
			"hostler image export "+ref+" FILE.tar, and import that",
		)
	}
	if err := s.writeJSON(s.nameFile(to.name), nameRecord{Name: to.name, Digest: img.Digest}); err != nil {
		return Image{}, failed("Tag", ref, compute.ErrFailed, err, "")
	}
	img.Name = to.name
	return img, nil
}

// CheckTag checks that Tag can give this name; the error is compute.ErrInvalid.
func CheckTag(as string) error {
	_, err := tagOf(as, nil)
	return err
}

func tagOf(as string, insecure []string) (reference, error) {
	to, err := parse(as, insecure)
	if _, tag := to.reg.(name.Tag); err == nil && !tag {
		err = failed("Tag", as, compute.ErrInvalid, errors.New("it is no name to give"), "NAME[:TAG]")
	}
	return to, err
}
