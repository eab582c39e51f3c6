package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image/layer"
	"github.com/hostler-project/hostler/image/oci"
)

// Change is the writes over an image: the upper layer of an overlay mount, with nobody writing to
// it any more. Or it is a whole tree.
type Change struct {
	// the digest of the local image below it; "": nothing is below it
	Base   string
	Dir    string // a directory in the form of overlay with the option userxattr
	Owners bool   // files keep their owners; else all are root's
	// with Owners: the host's user that is root in the image, for a computer with users of its own
	Users int
	// names below Dir, such as "etc/machine-id", that are left out, directories with their content;
	// nil: none
	Skip   func(string) bool
	Labels map[string]string // for the image, beside its base's
}

// Commit makes an image of a local one and the writes over it, and names it as Tag does. It copies
// nothing of the base: the new image has its layers and one more. Sockets and device nodes are left
// out. The error is compute.ErrNotFound for a base that is not here.
func (s *Store) Commit(ctx context.Context, c Change, name string) (Image, error) {
	r, err := s.tagOf(name)
	if err != nil {
		return Image{}, err
	}
	img, err := s.commit(ctx, c, r)
	if err == nil {
		err = s.settle(img.Digest)
	}
	if err != nil {
		var e *compute.Error
		r.Kind = FromArchive // no registry is involved
		if err = s.classify(r, err); errors.As(err, &e) && e.Op == "image.Pull" {
			e.Op, e.Hint = "image.Commit", ""
		}
		return Image{}, err
	}
	return img, nil
}

// commit puts the change as one layer on top of its base. Commits of the same directory take
// turns.
func (s *Store) commit(ctx context.Context, c Change, r Reference) (Image, error) {
	tmp, done, err := s.tree.tempDir()
	if err != nil {
		return Image{}, err
	}
	defer done()
	if err := s.Use(ctx, c.Base, tmp); err != nil { // keeps it until the new one exists
		return Image{}, err
	}
	defer func() { _ = s.Release(c.Base, tmp) }()
	var base Image
	if c.Base != "" {
		if base, err = s.image(c.Base); err != nil {
			return Image{}, failed("Commit", c.Base, compute.ErrNotFound, err, "hostler image list")
		}
	}
	o := &offer{s: s, ref: r}
	defer o.close()
	key := layerLock("commit-" + short(c.Dir))
	l, err := s.tree.lock(ctx, key, exclusive)
	if err != nil {
		return Image{}, err
	}
	o.locks = append(o.locks, l)
	o.closers = append(o.closers, l.remove)
	top := blob{size: -1, open: func(ctx context.Context) (io.ReadCloser, error) { return c.read(ctx), nil }}
	if top.diffID, err = s.fetchLayer(ctx, key, top, nil); err != nil {
		return Image{}, err
	}
	if err := o.over(base, top, c.Labels); err != nil {
		return Image{}, err
	}
	layers, err := o.fetchAll(ctx)
	if err != nil {
		return Image{}, err
	}
	return o.enter(ctx, layers)
}

// read packs the change while it is read.
func (c Change) read(ctx context.Context) io.ReadCloser {
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// never fails
		_ = w.CloseWithError(layer.PackAs(ctx, c.Dir, layer.Packing{Owners: c.Owners, Users: c.Users, Skip: c.Skip}, w))
	}()
	return &packedStream{r, func() {
		cancel()
		_ = r.Close()
		<-ended
	}}
}

// packedStream stops its packer when it is closed.
type packedStream struct {
	io.Reader
	end func()
}

func (p *packedStream) Close() error {
	p.end()
	return nil
}

// over fills o with an image of another's local layers, and one on top.
func (o *offer) over(base Image, top blob, labels map[string]string) error {
	f := base.ConfigFile()
	f.Created = time.Now().UTC().Truncate(time.Second)
	f.Config.Labels = maps.Clone(f.Config.Labels)
	if f.Config.Labels == nil {
		f.Config.Labels = map[string]string{}
	}
	maps.Copy(f.Config.Labels, labels)
	for _, l := range base.Layers {
		if l.DiffID != "" { // the store makes its own ones anew
			o.layers = append(o.layers, blob{diffID: l.DiffID, size: -1, open: lost(l.DiffID)})
		}
	}
	top.open = lost(top.diffID)
	o.layers = append(o.layers, top)
	for _, b := range o.layers {
		var h oci.Digest
		if err := h.UnmarshalText([]byte(b.diffID)); err != nil {
			return err
		}
		f.RootFS.DiffIDs = append(f.RootFS.DiffIDs, h)
	}
	config, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return o.readConfig(config, "")
}

// lost is the source of a layer that was here a moment ago.
func lost(diffID string) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) {
		return nil, fmt.Errorf("its layer %s was removed meanwhile", diffID)
	}
}

// ConfigFile returns an image's configuration in OCI's form.
func (i Image) ConfigFile() *oci.ConfigFile {
	set := func(names []string) map[string]struct{} {
		m := map[string]struct{}{}
		for _, n := range names {
			m[n] = struct{}{}
		}
		return m
	}
	c, p := i.Config, i.Platform.here()
	f := &oci.ConfigFile{OS: p.OS, Architecture: p.Arch, Variant: p.Variant, RootFS: oci.RootFS{Type: "layers"}, Config: oci.Config{
		User: c.User, Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd, WorkingDir: c.WorkingDir, Labels: c.Labels,
		ExposedPorts: set(c.ExposedPorts), Volumes: set(c.Volumes), StopSignal: c.StopSignal,
	}}
	if !i.Built.IsZero() {
		f.Created = i.Built
	}
	return f
}
