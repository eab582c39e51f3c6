package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
)

// recipe is what a built image is made of. Its digest is part of the image's name, so the same
// recipe gives the same image.
type recipe struct {
	Type    string        `json:"type"`
	Arch    string        `json:"arch"`
	Base    string        `json:"base"`    // digest of the image to start from
	Bundles []bundle.Part `json:"bundles"` // with the bundles that they include
	// NAME=VALUE as given, with references in place of secrets
	Args []string `json:"args"`
}

// key returns the short digest of the recipe.
func (r recipe) key() string {
	text, _ := json.Marshal(r) // strings cannot fail
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

// name returns the name of the recipe's image. localhost is no registry, so nobody can publish an
// image of that name.
func (r recipe) name() string { return builtPrefix + r.key() }

const builtPrefix = "localhost/built:"

// The labels of a built image.
const (
	LabelSource  = "hostler.source"
	labelBase    = "hostler.base"
	labelBundles = "hostler.bundles"
	LabelSecrets = "hostler.secrets" // its bundles have secrets, so the image may have them too
)

// building is what image builders share: the host, its configuration and its providers.
type building struct {
	host *Host
	cfg  *config.Config
	open opening
}

// ImageBuilder builds images for a source.
type ImageBuilder struct {
	*building
	Source string // the source that the image is for
	typ    string
	def    definition
	plan   *bundle.Plan
	args   []string
	output io.Writer               // gets the output of scripts
	Notify func(bundle.Outcome)    // called for each step; nil: not called
	snap   provider.Snapshots      // no Tag: its images are in the image store; set by Build
	report func(buildStep, string) // called with progress; nil: not called
}

// buildStep is what a builder is about to do.
type buildStep int

const (
	buildWaits buildStep = iota // another process builds the same image
	buildMakes                  // an instance
	buildPacks                  // the image of it
)

// engine returns an engine for the instances that become images, and its source's name. The source
// is like the configured one, but its instances are not given to others and not kept.
func (b *ImageBuilder) engine() (*pool.Pool, string, error) {
	name := b.Source + ".build" // it must be valid for an instance, its directory and its host
	if _, err := b.cfg.Source(name); err == nil {
		return nil, "", &compute.Error{
			ID: compute.ID(name), Kind: compute.ErrConflict,
			Err:  fmt.Errorf("a source has this name, under which images of %s are built", b.Source),
			Hint: "call it otherwise",
		}
	}
	def := definition{Settings: map[string]string{}, Image: b.def.Image}
	maps.Copy(def.Settings, b.def.Settings)
	if pack := b.host.Kinds.Kind(b.typ).Pack; pack != nil {
		pack(def.Settings)
	}
	delete(def.Settings, "ports") // the source's own instances have them
	data, err := json.Marshal(def)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(data)
	opt := pool.Options{
		Store: b.host.store, Open: b.open, NewID: NewID, Log: b.host.Log, Inflight: b.host.desk, Kept: kept,
		Sources: []pool.Source{{
			Name: name, Type: b.typ, Digest: hex.EncodeToString(sum[:8]), Place: "build", Reuse: "no",
			Image: b.def.Image, Definition: data,
		}},
	}
	if _, ok := b.host.store.(SharedStore); ok {
		opt.Host = ProcessSpace()
	}
	engine, err := pool.New(opt)
	return engine, name, err
}

// Build returns the recipe's image and makes it if it is missing. Of concurrent builds of the same
// image one works and the others wait. Leftovers of a killed build are removed first. A failed
// build leaves nothing.
func (b *ImageBuilder) Build(ctx context.Context) (r recipe, made bool, err error) {
	engine, name, err := b.engine()
	if err != nil {
		return r, false, err
	}
	p, err := engine.Provider(ctx, name)
	if err != nil {
		return r, false, err
	}
	b.snap = provider.Of(p).Snapshots
	snap := b.snap.Snapshotter
	if snap == nil {
		return r, false, &compute.Error{
			ID: compute.ID(b.Source), Kind: compute.ErrInvalid,
			Err: fmt.Errorf("of sources of type %s no images can be made", b.typ), Hint: "docs/images.md says of which",
		}
	}
	r = recipe{Type: b.typ, Arch: runtime.GOARCH, Bundles: b.plan.Bundles(), Args: append([]string{}, b.args...)}
	if r.Base, err = snap.ImageDigest(ctx, b.def.Image, true); err != nil {
		return r, false, err
	}
	there := func() (bool, error) {
		_, err := snap.ImageDigest(ctx, r.name(), false)
		if errors.Is(err, compute.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	}
	if ok, err := there(); ok || err != nil {
		return r, false, err
	}
	b.say(buildWaits, r.name())
	store, err := b.host.Images()
	if err != nil {
		return r, false, err
	}
	free, err := store.Alone(ctx, r.name())
	if err != nil {
		return r, false, err
	}
	defer free()
	if ok, err := there(); ok || err != nil {
		return r, false, err
	}
	if _, err := engine.RunDue(ctx, name); err != nil { // leftovers of a killed build
		b.host.Log.Warn("what a build left", "source", b.Source, "err", err)
	}
	if err := b.make(ctx, engine, name, snap, r); err != nil {
		return r, true, err
	}
	if err := b.collect(ctx, store); err != nil && ctx.Err() == nil {
		b.host.Log.Warn("old images are not removed", "err", err)
	}
	return r, true, nil
}

// make makes an instance, applies the bundles and takes the image.
func (b *ImageBuilder) make(ctx context.Context, engine *pool.Pool, name string, snap provider.Snapshotter, r recipe) (err error) {
	self, err := proc.Live(os.Getpid())
	if err != nil {
		return err
	}
	b.say(buildMakes, r.name())
	leases, err := engine.Acquire(
		ctx,
		compute.Request{Source: name, Count: 1, Owner: LocalUser(), Own: true, Purpose: "builds " + r.name(), For: self},
	)
	if err != nil {
		return err
	}
	id, who := leases[0].Instance, compute.Who{Owner: leases[0].Owner, Lease: leases[0].ID}
	defer func() {
		rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if e := engine.Release(rest, who, compute.ReleaseOptions{Discard: true}, id); e != nil && !errors.Is(e, compute.ErrNotLeased) {
			b.host.Log.Warn("the instance of a build is not discarded yet", "instance", id, "err", e)
		}
	}()
	if err := b.setUp(ctx, engine, who, id); err != nil && taken(ctx, engine, id, err) {
		return &compute.Error{
			ID: id, Kind: compute.ErrConflict, Err: fmt.Errorf("it was taken away in the middle: %w", api.Apart(err)[0]),
			Hint: "build again: nothing is left of this",
		}
	} else if err != nil {
		return err
	}
	b.say(buildPacks, r.name())
	_, err = snap.Snapshot(ctx, id, provider.ImageSpec{Name: r.name(), Labels: b.labels(r)})
	return err
}

// taken reports whether an error came because the instance was released by somebody else, or is
// gone.
func taken(ctx context.Context, engine *pool.Pool, id compute.ID, err error) bool {
	if errors.Is(err, compute.ErrNotLeased) {
		return true
	}
	_, _, gone := engine.Resolve(ctx, string(id))
	return errors.Is(gone, compute.ErrNotFound)
}

// setUp applies the bundles.
func (b *ImageBuilder) setUp(ctx context.Context, engine *pool.Pool, who compute.Who, id compute.ID) error {
	i, _, err := engine.Resolve(ctx, string(id))
	if err != nil {
		return err
	}
	i.Source = b.Source
	connect := func(ctx context.Context) (compute.Conn, error) {
		return ConnectPatiently(ctx, func() (compute.Conn, error) { return engine.Connect(ctx, who, id) })
	}
	conn, err := connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = bundle.Apply(ctx, conn, b.plan, bundle.ApplyOptions{
		Facts: BundleFacts(&i), Reconnect: connect, Notify: b.Notify,
		Output: func(*bundle.Step) (stdout, stderr io.Writer) { return b.output, b.output },
	})
	return err
}

// labels returns the labels of the recipe's image.
func (b *ImageBuilder) labels(r recipe) map[string]string {
	names := []string{}
	for _, p := range r.Bundles {
		names = append(names, p.Name)
	}
	text, _ := json.Marshal(names) // strings cannot fail
	labels := map[string]string{LabelSource: b.Source, labelBase: r.Base, labelBundles: string(text)}
	if b.plan.Secret() {
		labels[LabelSecrets] = "yes"
	}
	return labels
}

func (b *ImageBuilder) say(what buildStep, name string) {
	if b.report != nil {
		b.report(what, name)
	}
}

// NewBuilder returns a builder for a configured source.
func (h *Host) NewBuilder(
	ctx context.Context, s *config.Source, plan *bundle.Plan, args []string, output io.Writer,
) (*ImageBuilder, error) {
	def, err := readDefinition(s.Name, engineSource(s).Definition)
	if err != nil {
		return nil, err
	}
	if _, err := h.Engine(ctx); err != nil {
		return nil, err
	}
	return &ImageBuilder{
		building: &building{host: h, cfg: h.cfg, open: h.open}, Source: s.Name, typ: s.Type, def: def, plan: plan,
		args: args, output: output,
	}, nil
}

// Built returns the image of a recipe, and adds a name unless as is "". It looks in the image
// store, or in the provider's own.
func (b *ImageBuilder) Built(ctx context.Context, r recipe, as string) (image.Image, error) {
	if b.snap.Tag != nil {
		img := image.Image{Name: r.name()}
		var err error
		if as != "" {
			img.Name, err = as, b.snap.Tag(ctx, r.name(), as)
		}
		if err == nil {
			img.Digest, err = b.snap.Snapshotter.ImageDigest(ctx, img.Name, false)
		}
		return img, err
	}
	s, err := b.host.Images()
	if err != nil {
		return image.Image{}, err
	}
	if as != "" {
		return s.Tag(ctx, r.name(), as)
	}
	return s.Find(r.name())
}
