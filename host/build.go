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
	"github.com/hostler-project/hostler/pool"
)

// recipe is what goes into a built image. Its digest is the image's name: who asks for the same
// gets the same.
type recipe struct {
	Type    string        `json:"type"`
	Arch    string        `json:"arch"`
	Base    string        `json:"base"`    // the digest of the image that it starts from
	Bundles []bundle.Part `json:"bundles"` // with what they include
	// NAME=VALUE as they were given, references in place of secrets
	Args []string `json:"args"`
}

// key is the recipe's digest, as far as a name needs it.
func (r recipe) key() string {
	text, _ := json.Marshal(r) // strings cannot fail
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

// name is what the image of the recipe is called. localhost is no registry's: nobody else can have
// an image of that name to give.
func (r recipe) name() string { return builtPrefix + r.key() }

const builtPrefix = "localhost/built:"

// The labels of a built image.
const (
	LabelSource  = "hostler.source"
	labelBase    = "hostler.base"
	labelBundles = "hostler.bundles"
	LabelSecrets = "hostler.secrets" // its bundles have secrets, so it may
)

// building is where images are built: on the store of an engine, with its providers.
type building struct {
	host *Host
	cfg  *config.Config
	open opening
}

// ImageBuilder makes images of a source's instances.
type ImageBuilder struct {
	*building
	Source string // whose instances the image is for
	typ    string
	def    definition
	plan   *bundle.Plan
	args   []string
	output io.Writer               // of what scripts print
	Notify func(bundle.Outcome)    // of each step; nil: nobody hears
	snap   compute.Snapshotter     // who makes the image; build finds it
	tagger compute.ImageTagger     // nil: its images are in the store
	report func(buildStep, string) // of how it goes on; nil: nobody hears
}

// buildStep is what a builder is about to do.
type buildStep int

const (
	buildWaits buildStep = iota // another is at the same
	buildMakes                  // an instance
	buildPacks                  // the image of it
)

// engine is one for instances that become images: of the same kind as the source's own, made from
// the same, but for nobody else, and never kept.
func (b *ImageBuilder) engine() (*pool.Pool, string, error) {
	name := b.Source + ".build" // a name that an instance, its directory and its host can have
	if _, err := b.cfg.Source(name); err == nil {
		return nil, "", &compute.Error{
			ID: compute.ID(name), Kind: compute.ErrConflict,
			Err:  fmt.Errorf("a source has this name, under which images of %s are built", b.Source),
			Hint: "call it otherwise",
		}
	}
	def := definition{Settings: map[string]string{}, Image: b.def.Image}
	maps.Copy(def.Settings, b.def.Settings)
	switch b.typ {
	case "sandbox":
		def.Settings["upper"] = "disk" // where it can be read when all in it has ended
		delete(def.Settings, "disk")
	case "vm":
		delete(def.Settings, "warm") // a machine that is booted for one alone
	case "container":
		delete(def.Settings, "env") // which would be the image's for good
	}
	delete(def.Settings, "ports") // which the source's own instances have
	data, err := json.Marshal(def)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(data)
	opt := pool.Options{
		Store: b.host.store, Open: b.open, NewID: NewID, Log: b.host.Log, Desk: b.host.desk, Kept: kept,
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

// Build makes the image of the recipe, unless it is there, and returns it. However many ask, one
// builds, and the others wait; what one that was killed has left is ended, and another takes its
// place. Nothing is left of a build that fails.
func (b *ImageBuilder) Build(ctx context.Context) (r recipe, made bool, err error) {
	engine, name, err := b.engine()
	if err != nil {
		return r, false, err
	}
	p, err := engine.Provider(ctx, name)
	if err != nil {
		return r, false, err
	}
	snap, ok := compute.As[compute.Snapshotter](p)
	b.snap = snap
	b.tagger, _ = compute.As[compute.ImageTagger](p)
	if !ok {
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
	if _, err := engine.Work(ctx, name); err != nil { // what a build that was killed has left
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

// make has an instance made and set up, and an image made of it.
func (b *ImageBuilder) make(ctx context.Context, engine *pool.Pool, name string, snap compute.Snapshotter, r recipe) (err error) {
	self, err := pool.ProcessOf(os.Getpid())
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
	_, err = snap.Snapshot(ctx, id, compute.ImageSpec{Name: r.name(), Labels: b.labels(r)})
	return err
}

// taken reports whether an error came because an instance is ours no more: given back by somebody,
// or gone already.
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

// NewBuilder makes a builder for a configured source.
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

// Built finds the image of a recipe, and gives it a further name unless that is "": in the store of
// images, or where the source's provider has its own.
func (b *ImageBuilder) Built(ctx context.Context, r recipe, as string) (image.Image, error) {
	if b.tagger != nil {
		img := image.Image{Name: r.name()}
		var err error
		if as != "" {
			img.Name, err = as, b.tagger.TagImage(ctx, r.name(), as)
		}
		if err == nil {
			img.Digest, err = b.snap.ImageDigest(ctx, img.Name, false)
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
