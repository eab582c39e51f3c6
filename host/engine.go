package host

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/policy"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/catalog"

	"github.com/hostler-project/hostler/provider/guard"
	"github.com/hostler-project/hostler/text/units"
)

// definition is stored with a source's instances. With it they can be cleaned and discarded after
// the source has left the configuration.
type definition struct {
	// references to secrets, never secrets
	Settings    map[string]string `json:"settings,omitempty"`
	Hooks       map[string]string `json:"hooks,omitempty"` // directories, by event
	HookTimeout time.Duration     `json:"hook_timeout,omitempty"`
	OnFailure   string            `json:"on_failure,omitempty"`
	ConfirmDead time.Duration     `json:"auto_confirm_dead,omitempty"`
	Bundles     []string          `json:"bundles,omitempty"`
	Image       string            `json:"image,omitempty"` // the source's own
	// make instances from an image with the bundles on it
	Build bool `json:"build,omitempty"`
	// the root of the hooks, if it must be trusted
	Tree string `json:"tree,omitempty"`
}

// Engine returns the lease engine, and makes it from store, sources, providers and hooks the first
// time.
func (h *Host) Engine(ctx context.Context) (*pool.Pool, error) {
	if h.pool != nil {
		return h.pool, nil
	}
	cfg, err := h.Configuration()
	if err != nil {
		return nil, err
	}
	state, err := StateDir()
	if err != nil {
		return nil, err
	}
	if _, err := h.OpenStore(ctx, cfg); err != nil {
		return nil, err
	}
	if cfg, err = h.takeUp(ctx, cfg); err != nil {
		return nil, err
	}
	if err := h.openGuard(cfg); err != nil {
		return nil, err
	}
	ends := &ends{}
	h.closers = append(h.closers, ends.close)
	h.open = h.opener(cfg, state, ends)
	opt := pool.Options{
		Store: h.measured(), Observe: h.observe(), Open: h.open, Hooks: h.hooks(state), NewID: NewID,
		Log: h.Log, LeaseIdle: h.LeaseIdle, Step: Step, Record: h.Record,
		Kept: kept, Uptime: proc.Uptime, Inventory: h.Role == Keeper || h.Role == Controller, Inflight: h.desk,
		Projects: quotas(cfg.Projects),
	}
	if _, ok := h.store.(SharedStore); ok {
		opt.Host = ProcessSpace()
	}
	if h.Compat {
		opt.LeaseIdle = 0
	}
	switch {
	case h.Role == Controller:
		opt.Later, opt.Left = slowIn(cfg, h.Kinds), h.Left
		opt.Gone = func(name, place string) bool {
			// with several controllers, one that does not lead may have other or older files
			c, several := h.store.(SharedStore)
			return (!several || c.Leads()) && cfg.Lacks(name, place)
		}
	case !h.Now:
		slow := slowIn(cfg, h.Kinds)
		opt.Later = func(name, typ string) bool {
			later := slow(name, typ)
			if later {
				h.left.Store(true)
			}
			return later
		}
	}
	for _, s := range cfg.Sources {
		opt.Sources = append(opt.Sources, engineSource(s))
	}
	h.pool, err = pool.New(opt)
	return h.pool, err
}

// engineSource converts a configured source to the engine's form.
func engineSource(s *config.Source) pool.Source {
	out := pool.Source{
		Name: s.Name, Type: s.Type, Digest: s.Digest, Place: s.Place(), Err: ConfigError(s.Err),
		Reserve: s.Reserve, Spare: s.Spare, Maximum: s.Maximum, Concurrency: s.Concurrency, MaxUses: s.MaxUses,
		Share: s.Share, Children: s.Sources,
		Reuse: s.Reuse, OnFailure: s.OnFailure, ConfirmDead: Deref(s.ConfirmDead), TTL: Deref(s.TTL),
		MaxTTL: Deref(s.MaxTTL), LeaseIdle: Deref(s.LeaseIdle), Idle: Deref(s.Idle),
		Size: declaredSize(s), MaxAge: Deref(s.MaxAge), Image: cmp.Or(s.Image, s.Settings["image"]), Flavor: s.Flavor,
		Cold: s.Cold, Window: demandWindow(s), Price: s.Price,
		Ahead:  s.Kind.Ahead != "" && !slices.Contains([]string{"", "0"}, s.Settings[s.Kind.Ahead]),
		Tally:  s.Kind.Tally,
		Policy: policyOf(s),
	}
	for event := range s.Hooks {
		out.Hooks = append(out.Hooks, event)
	}
	if len(s.Bundles) > 0 {
		out.Hooks = append(out.Hooks, "bundles")
		if s.Hooks["provision"] == "" {
			out.Hooks = append(out.Hooks, "provision")
		}
	}
	slices.Sort(out.Hooks)
	def := definition{
		Settings: s.Settings, Hooks: s.Hooks, HookTimeout: Deref(s.HookTimeout), OnFailure: s.OnFailure,
		ConfirmDead: Deref(s.ConfirmDead), Bundles: s.Bundles, Image: out.Image, Build: s.Build,
	}
	if s.Tree {
		def.Tree = s.Root
	}
	out.Definition, _ = json.Marshal(def) // strings and numbers cannot fail
	return out
}

// declaredSize returns the configured size of a source's instances, for kinds whose instances
// report exactly that; otherwise zero.
func declaredSize(s *config.Source) (a compute.Resources) {
	if !s.Kind.Declares {
		return a
	}
	if n, err := strconv.ParseFloat(s.Settings["cores"], 64); err == nil {
		a.Cores = n
	}
	// errors are reported when the provider is opened
	a.Memory, _ = units.ParseSize(s.Settings["memory"])
	if a.Check() != nil {
		return compute.Resources{}
	}
	return a
}

// policyOf returns what requests may choose of a source.
func policyOf(s *config.Source) policy.Source {
	out := policy.Source{Limits: s.Limits, Binds: s.Kind.Binds, NoGPUs: s.Kind.Here, Grows: s.Kind.Grows}
	if out.Grows || out.Binds {
		// errors are reported when the provider is opened
		out.Has.Cores, _ = strconv.ParseFloat(s.Settings["cores"], 64)
		out.Has.Memory, _ = units.ParseSize(s.Settings["memory"])
		out.Has.Disk, _ = units.ParseSize(s.Settings["disk"])
	}
	return out
}

// kept returns what matters for the end of instances whose source is not configured here.
func kept(data []byte) (hooks []string, onFailure string, confirmDead time.Duration) {
	var d definition
	if json.Unmarshal(data, &d) != nil {
		return nil, "", 0
	}
	return slices.Sorted(maps.Keys(d.Hooks)), d.OnFailure, d.ConfirmDead
}

// Deref returns a duration, or 0 for nil.
func Deref(d *time.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return *d
}

// readDefinition decodes a stored definition; empty data is the zero definition.
func readDefinition(name string, data []byte) (definition, error) {
	var d definition
	if len(data) == 0 {
		return d, nil
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return d, &compute.Error{ID: compute.ID(name), Kind: compute.ErrFailed, Err: fmt.Errorf("its definition in the state: %w", err)}
	}
	return d, nil
}

// ends holds the providers that must be closed.
type ends struct {
	mu  sync.Mutex
	all []io.Closer
}

// add notes a provider, if it can be closed.
func (e *ends) add(p compute.Provider) {
	if c, ok := provider.As[io.Closer](p); ok {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.all = append(e.all, c)
	}
}

// close closes all noted providers.
func (e *ends) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.all {
		_ = c.Close() // it logs what it could not end
	}
}

// opener returns a function that makes providers of definitions, each behind a guard.
func (h *Host) opener(cfg *config.Config, state string, ends *ends) opening {
	var open opening
	open = func(ctx context.Context, name, typ string, data []byte) (compute.Provider, error) {
		def, err := readDefinition(name, data)
		if err != nil {
			return nil, err
		}
		k, err := h.kind(name, typ)
		if err != nil {
			return nil, err
		}
		s := h.site(state, name, typ)
		images, err := readImagesSection(cfg)
		if err != nil {
			return nil, err
		}
		s.ImageLimits, s.Others = images.limits(), h.others(def.Image, def.Settings["image"])
		var p compute.Provider
		if k.Complete != nil {
			if def.Settings, err = k.Complete(ctx, s, def.Settings); err != nil {
				return nil, err
			}
		}
		p, err = k.Open(ctx, h.Log, s, func(out any) error {
			return ConfigError(config.Decode(def.Settings, PositionOf(cfg, name, typ), out))
		})
		if err != nil {
			return nil, AtKey(err, name, PositionOf(cfg, name, typ))
		}
		h.Log.Debug("a provider is opened", "source", name, "type", typ)
		ends.add(p)
		if err := noteKind(cfg, state, typ); err != nil {
			return nil, err
		}
		if def.Build {
			p = &prebuilt{Provider: p, build: &building{host: h, cfg: cfg, open: open}, source: name, typ: typ, def: def}
		}
		o := guard.Options{Source: name, Log: h.Log, Observe: h.observeCalls(name)}
		// not in the definition: it does not change what is made
		if s, err := cfg.Source(name); err == nil {
			o.Creates = s.Parallel
		}
		return guard.New(p, o), nil
	}
	return open
}

// opening makes the provider of a source's definition.
type opening func(ctx context.Context, name, typ string, definition []byte) (compute.Provider, error)

// PositionOf returns the place of a source's keys for errors; nil: the source is not configured.
func PositionOf(cfg *config.Config, name, typ string) func(string) (string, int) {
	if s, err := cfg.Source(name); err == nil && s.Type == typ {
		return s.Position
	}
	return nil
}

// slowIn returns which sources' cleanup takes long. The keeper does it, or the controller in its
// background.
func slowIn(cfg *config.Config, kinds catalog.Table) func(name, typ string) bool {
	return func(name, typ string) bool {
		if s, err := cfg.Source(name); err == nil && (s.Hooks["discard"] != "" || s.Hooks["release"] != "") {
			return true
		}
		return kinds.Kind(typ).Slow
	}
}

// TypeOf returns the type of an instance's source, which may not be configured any more.
func (h *Host) TypeOf(ctx context.Context, engine statuses, i compute.Instance) (string, error) {
	cfg, err := h.Configuration()
	if err != nil {
		return "", err
	}
	if s, err := cfg.Source(i.Source); err == nil {
		return s.Type, nil
	}
	all, err := engine.Status(ctx)
	for _, s := range all {
		if s.Name == i.Source {
			return s.Type, nil
		}
	}
	return "", err
}

type statuses interface {
	Status(ctx context.Context) ([]inventory.SourceStatus, error)
}
