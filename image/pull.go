package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image/layer"
	"github.com/hostler-project/hostler/image/oci"
)

// PullOptions say which image is wanted and how.
type PullOptions struct {
	Platform Platform  // zero: this machine's
	Progress *Progress `json:"-"` // may be nil
	// do not wait for the disk: the image is forgotten if the power fails before Release or GC,
	// which do
	Unsynced bool
	User     string // the directory that uses the image at once, as for Use; "": none
}

// Pull brings an image here and returns it. The name is one of
//
//	sha256:DIGITS                        one that is here already
//	NAME[:TAG|@DIGEST], docker://NAME    of a registry, docker.io if none is named; credentials are docker's or podman's
//	oci:DIR[:TAG]                        an OCI layout
//	oci-archive:FILE[:TAG]               one in a tar file
//	docker-archive:FILE[:NAME:TAG]       what docker save writes
//	docker-daemon:NAME[:TAG]             of the local docker daemon
//	dir:DIR or /DIR                      a plain directory with a root file system: nothing is copied
//	/FILE or FILE.tar[.gz|.zst|.bz2]     an archive with an image or a root file system in it
//
// Pull checks all bytes against their digests. It does not fetch local layers, and concurrent
// calls, even of several processes, fetch a layer once. After an error or the end of ctx nothing
// incomplete counts, and the next call goes on with the complete layers.
func (s *Store) Pull(ctx context.Context, ref string, opt PullOptions) (Image, error) {
	// local images only: a registry's image has a name too
	if strings.HasPrefix(ref, "sha256:") {
		return s.findDigest(ref)
	}
	others := s.opt.Others.Named(ctx, ref)
	var r Reference
	var err error
	if others {
		r, err = parseOthers(s.opt.Registry, ref, s.opt.Insecure)
	} else {
		r, err = s.Parse(ref)
	}
	if err != nil {
		return Image{}, err
	}
	if r.Kind == FromDir {
		return s.directory(r)
	}
	r.Asked = ref
	img, err := s.pull(ctx, r, opt)
	if err == nil && !opt.Unsynced {
		err = s.settle(img.Digest)
	}
	if err != nil && others {
		return img, s.opt.Others.told(r, err)
	}
	return img, s.classify(r, err)
}

// pull returns the image that is here if its file has not changed since. An image of a registry
// or daemon has no such file, and is requested again.
func (s *Store) pull(ctx context.Context, r Reference, opt PullOptions) (Image, error) {
	stamp, err := stampOf(r)
	if errors.Is(err, fs.ErrNotExist) {
		if _, there := os.Stat(r.Path); there == nil {
			return Image{}, failed(
				"Pull", r.Name, compute.ErrInvalid, errors.New("it is no OCI layout: there is no index.json in it"),
				"dir:"+r.Path+" for a root file system as it is",
			)
		}
		return Image{}, failed("Pull", r.Name, compute.ErrNotFound, errors.New("no such file"), "")
	}
	if err != nil {
		return Image{}, err
	}
	if stamp != "" {
		if img, err := s.find(r); err == nil && opt.Platform.accepts(img.Platform) {
			return img, s.Touch(img.Digest)
		}
	}
	o := &offer{s: s, ref: r, opt: opt, stamp: stamp}
	defer o.close()
	switch r.Kind {
	case FromLayout:
		err = o.openLayout(ctx)
	case FromArchive:
		err = o.openArchive(ctx)
	case FromDaemon:
		err = o.openDaemon(ctx)
	default: // its name was read, so there is a Registry
		return s.opt.Registry.Fetch(ctx, s, r, opt)
	}
	if err != nil {
		return Image{}, err
	}
	return o.take(ctx)
}

// Import brings in an image whose manifest, or list of manifests, is in top.Data. What it refers to
// is opened by from.
func (s *Store) Import(ctx context.Context, r Reference, from Content, top oci.Descriptor, opt PullOptions) (Image, error) {
	o := &offer{s: s, ref: r, opt: opt}
	defer o.close()
	d := top
	if d.MediaType.IsIndex() {
		var index oci.Index
		if err := json.Unmarshal(top.Data, &index); err != nil {
			return Image{}, layer.Contentf("the index cannot be read: %w", err)
		}
		var err error
		if d, err = choose(ctx, r, from, index.Manifests, opt.Platform.here(), 0); err != nil {
			return Image{}, err
		}
	}
	if err := o.readManifest(ctx, from, d); err != nil {
		return Image{}, err
	}
	return o.take(ctx)
}

// offer is an image at its source.
type offer struct {
	s     *Store
	ref   Reference
	opt   PullOptions
	stamp string // of the file that it comes from

	config   []byte
	digest   string // of config
	manifest string
	file     oci.ConfigFile
	layers   []blob // bottom first
	platform Platform
	made     bool // config is made up: the image is a bare root file system
	locks    []*lock
	closers  []func()
}

func (o *offer) close() {
	for _, f := range slices.Backward(o.closers) {
		f()
	}
	for _, l := range o.locks {
		l.unlock()
	}
}

// take brings the image into the store.
func (o *offer) take(ctx context.Context) (Image, error) {
	if err := o.fits(o.ref, o.opt.Platform.here()); err != nil {
		return Image{}, err
	}
	layers, err := o.fetchAll(ctx)
	if err != nil {
		return Image{}, err
	}
	return o.enter(ctx, layers)
}

// fits refuses an image for another platform.
func (o *offer) fits(r Reference, want Platform) error {
	if o.made || o.platform == (Platform{}) || o.platform.suits(want) {
		return nil
	}
	return wrongPlatform(r, want, []Platform{o.platform})
}

// wrongPlatform returns ErrInvalid with the platforms that there are. It leaves attestations
// out.
func wrongPlatform(r Reference, want Platform, have []Platform) error {
	names := map[string]bool{}
	for _, p := range have {
		if p.OS != "unknown" && p != (Platform{}) { // attestations have this name
			names[p.String()] = true
		}
	}
	list := slices.Sorted(maps.Keys(names))
	err := fmt.Errorf("it is for %s, and not for %s", join(list), want)
	if len(list) == 0 {
		err = fmt.Errorf("it holds nothing for %s", want)
	}
	return failed("Pull", r.Name, compute.ErrInvalid, err, "take another image, or run this one where it fits")
}

// fetchAll fetches all layers, each once, and returns their records, bottom first. o holds their
// locks.
func (o *offer) fetchAll(ctx context.Context) ([]layerRecord, error) {
	s, p := o.s, o.opt.Progress
	if p == nil {
		p = &Progress{}
	}
	p.Layers.Store(int64(len(o.layers)))
	for _, b := range o.layers {
		if _, ok := s.tree.readLayer(b.diffID); !ok && b.size > 0 {
			p.Size.Add(b.size)
		}
	}
	jobs := s.opt.Jobs
	if jobs <= 0 {
		jobs = max(2, runtime.NumCPU())
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	var mu sync.Mutex
	done := map[string]layerRecord{}
	begun := map[string]bool{}
	of := s.opt.Limits.budget()
	for _, b := range o.layers {
		b.of = of
		if begun[b.diffID] { // an image may name a layer twice
			p.Ready.Add(1)
			continue
		}
		begun[b.diffID] = true
		g.Go(func() error {
			l, rec, err := s.layer(ctx, b, p)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			o.locks = append(o.locks, l)
			done[b.diffID] = rec
			p.Ready.Add(1)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := make([]layerRecord, len(o.layers))
	for i, b := range o.layers {
		out[i] = done[b.diffID]
	}
	return out, nil
}

// enter writes the record of an image with local layers, and its name.
func (o *offer) enter(ctx context.Context, layers []layerRecord) (Image, error) {
	s, r := o.s, o.ref
	l, err := s.tree.lock(ctx, storeLock, shared)
	if err != nil {
		return Image{}, err
	}
	defer l.unlock()
	rec := record{
		Digest: o.digest, Manifest: o.manifest, Platform: o.platform, Created: time.Now().UTC().Truncate(time.Second),
		Config: configOf(o.file.Config), Built: o.file.Created, durability: durability{Boot: s.tree.boot},
	}
	if old, err := s.image(o.digest); err == nil {
		rec.Created, rec.Patched = old.Created, len(old.Layers) > len(layers)
		if rec.Manifest == "" {
			rec.Manifest = old.Manifest
		}
	} else if rec.Patched, err = s.makePatch(o.digest, layers); err != nil {
		return Image{}, err
	}
	rec.Layers = slices.Clone(layers)
	for i := range rec.Layers {
		// only makers of patches use it, and they read the layer's own record
		rec.Layers[i].Implied = nil
	}
	if err := s.tree.writeJSON(s.tree.imageFile(o.digest), rec); err != nil {
		return Image{}, err
	}
	if err := s.tree.writeJSON(s.tree.nameFile(r.Name), nameRecord{r.Name, o.digest, o.stamp}); err != nil {
		return Image{}, err
	}
	if o.opt.User != "" {
		if err := s.mark(o.digest, o.opt.User); err != nil {
			return Image{}, err
		}
	}
	img, err := s.image(o.digest)
	img.Name = r.Name
	return img, err
}

// readConfig parses an image's configuration, and checks its digest.
func (o *offer) readConfig(config []byte, want string) error {
	o.config, o.digest = config, digestBytes(config)
	if want != "" && o.digest != want {
		return &errCorrupt{"the image's configuration", want, o.digest}
	}
	if err := json.Unmarshal(config, &o.file); err != nil {
		return layer.Contentf("the image's configuration cannot be read: %w", err)
	}
	o.platform = Platform{o.file.OS, o.file.Architecture, o.file.Variant}
	for _, id := range o.file.RootFS.DiffIDs {
		if id.Algorithm != "sha256" || len(id.Hex) != 64 {
			return layer.Contentf("a layer is named by %s, and only sha256 is known here", id)
		}
	}
	if o.file.RootFS.Type != "layers" && len(o.file.RootFS.DiffIDs) == 0 {
		return layer.Contentf("it is not an image of a file system")
	}
	return nil
}

func configOf(c oci.Config) Config {
	return Config{
		User: c.User, Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd, WorkingDir: c.WorkingDir, Labels: c.Labels,
		ExposedPorts: slices.Sorted(maps.Keys(c.ExposedPorts)), Volumes: slices.Sorted(maps.Keys(c.Volumes)), StopSignal: c.StopSignal,
	}
}

// tempFile makes a file that is removed with its lock.
func (o *offer) tempFile() (*os.File, error) {
	f, err := os.CreateTemp(o.s.tree.dir+"/tmp", "new-")
	if err != nil {
		return nil, err
	}
	o.closers = append(o.closers, func() {
		_ = os.Remove(f.Name())
		_ = f.Close()
	})
	return f, flock(f, exclusive)
}
