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

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image/layer"
)

// PullOptions say which image is wanted and how.
type PullOptions struct {
	Platform Platform  // zero: this machine's
	Progress *Progress // may be nil
	// do not wait for the disk: the image is forgotten if the power fails before Release or GC,
	// which do
	Unsynced bool

	user string // the directory that uses the image at once; "": none
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
	others, parsed := s.opt.Others.Named(ctx, ref), parse
	if others {
		parsed = parseOthers
	}
	r, err := parsed(ref, s.opt.Insecure)
	if err != nil {
		return Image{}, err
	}
	if r.kind == fromDir {
		return s.directory(r)
	}
	r.asked = ref
	img, err := s.pull(ctx, r, opt)
	if err == nil && !opt.Unsynced {
		err = s.settle(img.Digest)
	}
	if err != nil && others {
		return img, s.opt.Others.told(r, err)
	}
	return img, s.classify(r, err)
}

// offer is an image at its source.
type offer struct {
	config   []byte
	digest   string // of config
	manifest string
	file     v1.ConfigFile
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

func (s *Store) pull(ctx context.Context, r reference, opt PullOptions) (Image, error) {
	stamp, err := stampOf(r)
	if errors.Is(err, fs.ErrNotExist) {
		if _, there := os.Stat(r.path); there == nil {
			return Image{}, failed(
				"Pull", r.name, compute.ErrInvalid, errors.New("it is no OCI layout: there is no index.json in it"),
				"dir:"+r.path+" for a root file system as it is",
			)
		}
		return Image{}, failed("Pull", r.name, compute.ErrNotFound, errors.New("no such file"), "")
	}
	if err != nil {
		return Image{}, err
	}
	if stamp != "" {
		if img, err := s.find(r); err == nil && opt.Platform.accepts(img.Platform) {
			return img, s.Touch(img.Digest)
		}
	}
	o := &offer{}
	defer o.close()
	switch r.kind {
	case fromLayout:
		err = s.openLayout(ctx, r, opt, o)
	case fromArchive:
		err = s.openArchive(ctx, r, opt, o)
	case fromDaemon:
		err = s.openDaemon(ctx, r, opt, o)
	default:
		err = s.openRegistry(ctx, r, opt, o)
	}
	if err != nil {
		return Image{}, err
	}
	if err := o.fits(r, opt.Platform.here()); err != nil {
		return Image{}, err
	}
	layers, err := s.fetchAll(ctx, o, opt.Progress)
	if err != nil {
		return Image{}, err
	}
	return s.enter(ctx, r, o, layers, stamp, opt.user)
}

// fits refuses an image for another platform.
func (o *offer) fits(r reference, want Platform) error {
	if o.made || o.platform == (Platform{}) || o.platform.suits(want) {
		return nil
	}
	return wrongPlatform(r, want, []Platform{o.platform})
}

func wrongPlatform(r reference, want Platform, have []Platform) error {
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
	return failed("Pull", r.name, compute.ErrInvalid, err, "take another image, or run this one where it fits")
}

// fetchAll fetches all layers, each once, and returns their records, bottom first. o holds their
// locks.
func (s *Store) fetchAll(ctx context.Context, o *offer, p *Progress) ([]layerRecord, error) {
	if p == nil {
		p = &Progress{}
	}
	p.Layers.Store(int64(len(o.layers)))
	for _, b := range o.layers {
		if _, ok := s.readLayer(b.diffID); !ok && b.size > 0 {
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
func (s *Store) enter(ctx context.Context, r reference, o *offer, layers []layerRecord, stamp, user string) (Image, error) {
	l, err := s.lock(ctx, storeLock, shared)
	if err != nil {
		return Image{}, err
	}
	defer l.unlock()
	rec := record{
		Digest: o.digest, Manifest: o.manifest, Platform: o.platform, Created: time.Now().UTC().Truncate(time.Second),
		Config: configOf(o.file.Config), Built: o.file.Created.Time, durability: durability{Boot: s.boot},
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
	if err := s.writeJSON(s.imageFile(o.digest), rec); err != nil {
		return Image{}, err
	}
	if err := s.writeJSON(s.nameFile(r.name), nameRecord{r.name, o.digest, stamp}); err != nil {
		return Image{}, err
	}
	if user != "" {
		if err := s.mark(o.digest, user); err != nil {
			return Image{}, err
		}
	}
	img, err := s.image(o.digest)
	img.Name = r.name
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

func configOf(c v1.Config) Config {
	return Config{
		User: c.User, Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd, WorkingDir: c.WorkingDir, Labels: c.Labels,
		ExposedPorts: slices.Sorted(maps.Keys(c.ExposedPorts)), Volumes: slices.Sorted(maps.Keys(c.Volumes)), StopSignal: c.StopSignal,
	}
}

// tempFile makes a file that is removed with its lock.
func (s *Store) tempFile(o *offer) (*os.File, error) {
	f, err := os.CreateTemp(s.dir+"/tmp", "new-")
	if err != nil {
		return nil, err
	}
	o.closers = append(o.closers, func() {
		_ = os.Remove(f.Name())
		_ = f.Close()
	})
	return f, flock(f, exclusive)
}
