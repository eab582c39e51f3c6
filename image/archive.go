package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image/layer"
	"github.com/hostler-project/hostler/image/oci"
)

// openArchive reads a tar file: docker save's, an OCI layout, or a root file system.
func (o *offer) openArchive(ctx context.Context) error {
	r := o.ref
	f, err := os.Open(r.Path)
	if err != nil {
		return err
	}
	o.closers = append(o.closers, func() { _ = f.Close() })
	var head [6]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		return err
	}
	if n == 0 {
		return layer.Contentf("the file is empty")
	}
	if !layer.IsTar(head[:n]) {
		image, err := beginsAsImage(f)
		if err != nil {
			return err
		}
		if !image && r.Form == "" {
			return o.openRoot(ctx)
		}
		if f, err = o.plainCopy(ctx, f); err != nil { // its layers are read out of order
			return err
		}
	}
	x, err := indexTar(ctx, f, r.Form == "")
	if err != nil {
		return err
	}
	switch {
	case x == nil:
		return o.openRoot(ctx)
	case x.files["manifest.json"].size > 0 && r.Form != "oci":
		return o.readDockerArchive(x)
	case x.files["index.json"].size > 0 && r.Form != "docker":
		index, err := x.read("index.json")
		if err != nil {
			return err
		}
		return o.readIndex(ctx, x, index)
	}
	return layer.Contentf("the archive holds no image: neither manifest.json nor index.json is in it")
}

// isOfImage reports whether an archive with an entry of this name may be an image rather than a
// root file system.
func isOfImage(entry string) bool {
	entry = path.Clean(entry)
	top, _, _ := strings.Cut(entry, "/")
	switch top {
	case "manifest.json", "repositories", "oci-layout", "index.json", "blobs", ".":
		return true
	}
	top = strings.TrimPrefix(top, "sha256:")
	hex := strings.TrimRight(top[:min(64, len(top))], "0123456789abcdef") == ""
	rest := top[min(64, len(top)):]
	return len(top) >= 64 && hex && (rest == "" || rest == ".json" || rest == ".tar" || rest == ".tar.gz")
}

// beginsAsImage checks the first entries of a compressed archive.
func beginsAsImage(f *os.File) (bool, error) {
	defer func() { _, _ = f.Seek(0, io.SeekStart) }()
	z, done, err := layer.Decompress(io.NewSectionReader(f, 0, 1<<62))
	if err != nil {
		return false, err
	}
	defer done()
	tr := tar.NewReader(z)
	for range 4 { // "./" alone says nothing
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return false, layer.StreamError(err)
		}
		if path.Clean(h.Name) != "." {
			return isOfImage(h.Name), nil
		}
	}
	return false, nil
}

// plainCopy decompresses an archive into a file that is removed with o.
func (o *offer) plainCopy(ctx context.Context, f *os.File) (*os.File, error) {
	came := &layer.Counter{R: f}
	z, done, err := layer.Decompress(came)
	if err != nil {
		return nil, err
	}
	defer done()
	z = o.s.opt.Limits.budget().Bounded(z, came.N.Load)
	out, err := o.tempFile()
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(out, whileAlive(ctx, z)); err != nil {
		return nil, err
	}
	_, err = out.Seek(0, io.SeekStart)
	return out, err
}

// whileAlive reads r until ctx ends.
func whileAlive(ctx context.Context, r io.Reader) io.Reader {
	return layer.ReaderFunc(func(b []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(b)
	})
}

// tarIndex holds the places of the files in an uncompressed tar archive.
type tarIndex struct {
	f     *os.File
	files map[string]piece
	links map[string]string // names that lead to other names
}

type piece struct{ at, size int64 }

// mostFiles bounds the index: an image has a few for each layer. Only tests make it smaller.
var mostFiles = 100_000

// longestName bounds the names in it, in bytes. The names of an image's parts are digests with a
// prefix or suffix.
const longestName = 1 << 10

// indexTar indexes an image's archive. With sniff it returns nil at the first entry that no image's
// archive has.
func indexTar(ctx context.Context, f *os.File, sniff bool) (*tarIndex, error) {
	x := &tarIndex{f, map[string]piece{}, map[string]string{}}
	tr := tar.NewReader(f) // it seeks over the contents it skips
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return nil, layer.StreamError(err)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if sniff && !isOfImage(h.Name) {
			return nil, nil
		}
		if len(x.files)+len(x.links) > mostFiles {
			return nil, layer.Contentf("the archive has more than %d files, too many for an image", mostFiles)
		}
		if n := max(len(h.Name), len(h.Linkname)); n > longestName {
			return nil, layer.Contentf("the archive has a name of %d bytes, too long for an image", n)
		}
		name := path.Clean("/" + h.Name)[1:]
		switch h.Typeflag {
		case tar.TypeReg:
			at, err := f.Seek(0, io.SeekCurrent)
			if err != nil {
				return nil, err
			}
			x.files[name] = piece{at, h.Size}
		case tar.TypeLink:
			x.links[name] = path.Clean("/" + h.Linkname)[1:]
		case tar.TypeSymlink: // docker once wrote a repeated layer so
			x.links[name] = path.Join("/", path.Dir(name), h.Linkname)[1:]
		}
	}
	if len(x.files) == 0 {
		if sniff {
			return nil, nil
		}
		return nil, layer.Contentf("the archive is empty")
	}
	if _, docker := x.files["manifest.json"]; sniff && !docker {
		if _, oci := x.files["index.json"]; !oci {
			return nil, nil
		}
	}
	return x, nil
}

// find returns where a file's content is in the archive. It follows up to eight links.
func (x *tarIndex) find(name string) (piece, bool) {
	name = path.Clean("/" + name)[1:]
	for range 8 {
		if p, ok := x.files[name]; ok {
			return p, true
		}
		to, ok := x.links[name]
		if !ok {
			break
		}
		name = to
	}
	return piece{}, false
}

func (x *tarIndex) reader(p piece) io.ReadCloser {
	return io.NopCloser(io.NewSectionReader(x.f, p.at, p.size))
}

// read returns the content of a small file, of at most biggestManifest bytes.
func (x *tarIndex) read(name string) ([]byte, error) {
	p, ok := x.find(name)
	if !ok {
		return nil, layer.Contentf("the archive lacks %q, which it names", name)
	}
	if p.size > biggestManifest {
		return nil, layer.Contentf("%s is of more than %d bytes", name, biggestManifest)
	}
	return io.ReadAll(x.reader(p))
}

// Open opens a blob of an OCI layout.
func (x *tarIndex) Open(_ context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	if d.Data != nil {
		return io.NopCloser(bytes.NewReader(d.Data)), nil
	}
	p, ok := x.find("blobs/" + d.Digest.Algorithm + "/" + d.Digest.Hex)
	if !ok {
		return nil, layer.Contentf("the archive lacks %s, which it names", d.Digest)
	}
	return x.reader(p), nil
}

// readDockerArchive fills o from docker save's archive.
func (o *offer) readDockerArchive(x *tarIndex) error {
	p := x.files["manifest.json"]
	if p.size > biggestManifest {
		return layer.Contentf("manifest.json is of more than %d bytes", biggestManifest)
	}
	var all []oci.Saved
	if err := json.NewDecoder(x.reader(p)).Decode(&all); err != nil {
		return layer.Contentf("manifest.json cannot be read: %w", err)
	}
	one, err := pick(o.ref, all)
	if err != nil {
		return err
	}
	config, err := x.read(one.Config)
	if err != nil {
		return err
	}
	want := ""
	if hex := strings.TrimSuffix(path.Base(one.Config), ".json"); len(strings.TrimPrefix(hex, "sha256:")) == 64 {
		want = "sha256:" + strings.TrimPrefix(hex, "sha256:")
	}
	if err := o.readConfig(config, want); err != nil {
		return err
	}
	ids := o.file.RootFS.DiffIDs
	if len(ids) != len(one.Layers) {
		return layer.Contentf("manifest.json names %d layers, and the configuration %d", len(one.Layers), len(ids))
	}
	for i, file := range one.Layers {
		p, ok := x.find(file)
		if !ok {
			return layer.Contentf("the archive lacks %q, which it names", file)
		}
		o.layers = append(o.layers, blob{
			diffID: ids[i].String(), size: p.size, open: func(context.Context) (io.ReadCloser, error) { return x.reader(p), nil },
		})
	}
	return nil
}

// pick finds the image of a tag in an archive.
func pick(r Reference, all []oci.Saved) (oci.Saved, error) {
	var names []string
	for _, d := range all {
		names = append(names, d.RepoTags...)
	}
	if r.Tag == "" {
		if len(all) == 1 {
			return all[0], nil
		}
		return oci.Saved{}, failed(
			"Pull", r.Name, compute.ErrInvalid, fmt.Errorf("the archive holds %d images: %s", len(all), join(names)),
			"name one: "+r.Name+":NAME:TAG",
		)
	}
	want := expected(r.Tag)
	for _, d := range all {
		if slices.ContainsFunc(d.RepoTags, func(t string) bool { return t == r.Tag || expected(t) == want }) {
			return d, nil
		}
	}
	if r.Kind == FromDaemon && len(all) == 1 { // by its digest it comes without a name
		return all[0], nil
	}
	return oci.Saved{}, failed(
		"Pull", r.Name, compute.ErrNotFound, fmt.Errorf("the archive has no %q; it has %s", r.Tag, join(names)), "",
	)
}

// openRoot makes an image with one layer of a root file system's archive. The layer's digest is
// known after it is unpacked.
func (o *offer) openRoot(ctx context.Context) error {
	s, r, opt := o.s, o.ref, o.opt
	b := blob{size: -1, open: func(context.Context) (io.ReadCloser, error) { return os.Open(r.Path) }}
	if info, err := os.Stat(r.Path); err == nil {
		b.size = info.Size()
	}
	if p := opt.Progress; p != nil {
		p.Layers.Store(1)
		p.Size.Store(b.size)
	}
	key := layerLock("file-" + short(r.Path))
	l, err := s.tree.lock(ctx, key, exclusive)
	if err != nil {
		return err
	}
	o.locks = append(o.locks, l)
	if img, err := s.find(r); err == nil { // made by the lock's last holder
		b.diffID = img.Layers[0].DiffID
	} else if b.diffID, err = s.fetchLayer(ctx, key, b, opt.Progress); err != nil {
		return err
	}
	var hash oci.Digest
	if err := hash.UnmarshalText([]byte(b.diffID)); err != nil {
		return err
	}
	want := opt.Platform.here()
	config, err := json.Marshal(oci.ConfigFile{
		OS: want.OS, Architecture: want.Arch, Variant: want.Variant, RootFS: oci.RootFS{Type: "layers", DiffIDs: []oci.Digest{hash}},
	})
	if err != nil {
		return err
	}
	if err := o.readConfig(config, ""); err != nil {
		return err
	}
	o.made, o.platform = true, Platform{}
	b.size = -1 // the later steps only find it
	o.layers = []blob{b}
	return nil
}
