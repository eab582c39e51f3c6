package fake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// Provider makes fake computers in its Cloud or directory. Any number of goroutines may use it.
type Provider struct {
	o         Options
	log       *slog.Logger
	place     inventory
	alone     bool // no other process or provider uses the inventory
	rates     rates
	made      atomic.Int64
	destroyed atomic.Int64

	mu   sync.Mutex
	dice *rand.Rand
}

var (
	_ compute.Provider     = (*Provider)(nil)
	_ provider.Cleaner     = (*Provider)(nil)
	_ provider.Checker     = (*Provider)(nil)
	_ provider.HealthCache = (*Provider)(nil)
	_ provider.Chooser     = (*Provider)(nil)
)

// Open returns a Provider of fake computers. It starts nothing. ErrInvalid: a rate or the state is
// wrong.
func Open(_ context.Context, log *slog.Logger, o Options) (*Provider, error) {
	bad := func(err error, hint string) (*Provider, error) {
		return nil, &compute.Error{Op: "fake.Open", ID: compute.ID(o.Source), Kind: compute.ErrInvalid, Err: err, Hint: hint}
	}
	if err := o.Check(); err != nil {
		return bad(err, compute.Hint(err))
	}
	r, err := o.rates()
	if err != nil {
		return bad(err, "")
	}
	if o.Exec == "home" && o.Dir == "" {
		return bad(errors.New("run = home, and no directory"), "")
	}
	o.Reply = cmp.Or(o.Reply, "foo")
	p := &Provider{o: o, log: log, rates: r, dice: o.dice()}
	switch {
	case o.State == "memory", o.State == "" && (o.Cloud != nil || o.Dir == ""):
		if o.Cloud == nil {
			o.Cloud, p.alone = NewCloud(), true
		}
		p.place = o.Cloud
	case (o.State == "disk" || o.State == "") && o.Dir != "":
		p.place = disk{o.Dir}
	default:
		return bad(errors.New("state = disk, and no directory"), "")
	}
	return p, nil
}

// Made returns how many computers this Provider made.
func (p *Provider) Made() int { return int(p.made.Load()) }

// Destroyed returns how many computers this Provider was the first to destroy.
func (p *Provider) Destroyed() int { return int(p.destroyed.Load()) }

func (p *Provider) key(id compute.ID) key {
	return key{p.o.Installation, p.o.Source, string(id)}
}

// fails decides by the rates and Options.Fail whether an operation fails now.
func (p *Provider) fails(op string, id compute.ID) error {
	if rate := p.rates[op]; rate > 0 {
		p.mu.Lock()
		hit := p.dice.Float64() < rate
		p.mu.Unlock()
		if hit {
			return fault(op, id, compute.ErrUnavailable, fmt.Errorf("fail-%s", op))
		}
	}
	return p.asked(op, id)
}

func (p *Provider) asked(op string, id compute.ID) error {
	if p.o.Fail == nil {
		return nil
	}
	return p.o.Fail(op, id)
}

func fault(op string, id compute.ID, kind, err error) error {
	return &compute.Error{Op: "fake." + op, ID: id, Kind: kind, Err: err}
}

// trouble gives an inventory's error its kind.
func trouble(op string, id compute.ID, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errUnknown):
		return fault(op, id, compute.ErrNotFound, nil)
	case errors.Is(err, errFull):
		return fault(op, id, compute.ErrNoCapacity, err)
	}
	return fault(op, id, compute.ErrFailed, err)
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Create makes a computer. As with a real cloud, the computer exists from the beginning, even if
// Create is cut short.
func (p *Provider) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	if err := ctx.Err(); err != nil {
		return compute.Instance{}, fault("create", spec.ID, nil, err)
	}
	if spec.ID == "" || len(spec.ID) > 100 {
		return compute.Instance{}, fault("create", spec.ID, compute.ErrInvalid, errors.New("no name, or one too long"))
	}
	if err := p.fails("create", spec.ID); err != nil {
		return compute.Instance{}, err
	}
	now := time.Now()
	c, made, err := p.place.add(computer{
		ID: string(spec.ID), Source: p.o.Source, Installation: p.o.Installation,
		ProviderID: fmt.Sprintf("fake-%s-%x", spec.ID, now.UnixNano()),
		Up:         now.Add(p.o.CreateTime + p.o.Boot), Image: spec.Image, Flavor: spec.Flavor, Location: spec.Location,
		UserData: spec.UserData,
	}, p.o.Capacity, now)
	if err != nil {
		return compute.Instance{}, trouble("create", spec.ID, err)
	}
	if made {
		p.made.Add(1)
		p.log.Debug("made a fake computer", "instance", spec.ID, "source", p.o.Source)
	}
	if !c.Gone.IsZero() {
		return compute.Instance{}, fault("create", spec.ID, compute.ErrUnavailable, errors.New("it is being destroyed"))
	}
	if made {
		if err := pause(ctx, p.o.CreateTime); err != nil {
			return compute.Instance{}, fault("create", spec.ID, nil, err)
		}
	}
	if err := p.asked("create-answer", spec.ID); err != nil {
		return compute.Instance{}, err
	}
	return p.instance(c), nil
}

// instance describes a computer. Its own image, flavor and location replace the facts of the
// options.
func (p *Provider) instance(c computer) compute.Instance {
	facts := p.o.facts()
	for key, value := range map[string]string{"image": c.Image, "flavor": c.Flavor, "region": c.Location} {
		if value != "" {
			facts[key] = value
		}
	}
	return compute.Instance{ID: compute.ID(c.ID), Source: c.Source, ProviderID: c.ProviderID, Facts: facts}
}

// UserDataLimit returns the configured limit in bytes.
func (p *Provider) UserDataLimit() int {
	if p.o.UserData <= 0 {
		return -1
	}
	return p.o.UserData
}

// Choices lists the configured choices.
func (p *Provider) Choices(_ context.Context, kind string) (all []provider.Named, open bool, err error) {
	names := map[string][]string{provider.Images: p.o.Images, provider.Flavors: p.o.Flavors, provider.Locations: p.o.Locations}[kind]
	if len(names) == 0 {
		return nil, false, fault("choices", compute.ID(p.o.Source), compute.ErrInvalid, fmt.Errorf("it has no %s to choose from", kind))
	}
	for _, name := range names {
		all = append(all, provider.Named{Name: name})
	}
	return all, false, nil
}

// Destroy asks a computer to go. It is gone after Options.DestroyTime.
func (p *Provider) Destroy(ctx context.Context, id compute.ID) error {
	if err := ctx.Err(); err != nil {
		return fault("destroy", id, nil, err)
	}
	if err := p.fails("destroy", id); err != nil {
		return err
	}
	now, first := time.Now(), false
	_, err := p.place.change(p.key(id), now, func(c *computer) bool {
		if first = c.Gone.IsZero(); first {
			c.Gone = now.Add(p.o.DestroyTime)
		}
		return now.Before(c.Gone)
	})
	if err != nil {
		return trouble("destroy", id, err)
	}
	if err := p.leave(id); err != nil {
		return fault("destroy", id, compute.ErrFailed, err)
	}
	if first {
		p.destroyed.Add(1)
		p.log.Debug("a fake computer goes", "instance", id, "source", p.o.Source)
	}
	return p.asked("destroy-answer", id)
}

// List returns this installation's computers of this source, sorted by name.
func (p *Provider) List(ctx context.Context) ([]compute.Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault("list", "", nil, err)
	}
	if err := p.fails("list", ""); err != nil {
		return nil, err
	}
	all, err := p.place.list(p.o.Installation, p.o.Source, time.Now())
	if err != nil {
		return nil, trouble("list", "", err)
	}
	out := make([]compute.Instance, 0, len(all))
	for _, c := range all {
		out = append(out, p.instance(c))
	}
	slices.SortFunc(out, func(a, b compute.Instance) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// up returns a computer that has booted and was not asked to go.
func (p *Provider) up(op string, id compute.ID) (computer, error) {
	now := time.Now()
	c, err := p.place.change(p.key(id), now, func(*computer) bool { return true })
	switch {
	case err != nil:
		return c, trouble(op, id, err)
	case !c.Gone.IsZero():
		return c, fault(op, id, compute.ErrUnavailable, errors.New("it is being destroyed"))
	case c.Stopped:
		return c, fault(op, id, compute.ErrNotReady, errors.New("it is stopped"))
	case now.Before(c.Up):
		return c, fault(op, id, compute.ErrNotReady, fmt.Errorf("it boots for another %v", c.Up.Sub(now).Round(time.Millisecond)))
	}
	return c, nil
}

// Connect opens a connection to a computer that has booted.
func (p *Provider) Connect(ctx context.Context, id compute.ID) (compute.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault("connect", id, nil, err)
	}
	if err := p.fails("connect", id); err != nil {
		return nil, err
	}
	c, err := p.up("connect", id)
	if err != nil {
		return nil, err
	}
	return p.open(id, c.UserData)
}

// Clean removes the files that were put on a computer.
func (p *Provider) Clean(ctx context.Context, id compute.ID) (string, error) {
	if err := p.fails("clean", id); err != nil {
		return "", err
	}
	if _, err := p.up("clean", id); err != nil {
		return "", err
	}
	if err := pause(ctx, p.o.CleanTime); err != nil {
		return "", fault("clean", id, nil, err)
	}
	files := 0
	_, err := p.place.change(p.key(id), time.Now(), func(c *computer) bool {
		files, c.Files = len(c.Files), nil
		return true
	})
	if err != nil {
		return "", trouble("clean", id, err)
	}
	if err := p.leave(id); err != nil {
		return "", fault("clean", id, compute.ErrFailed, err)
	}
	if err := p.asked("clean-answer", id); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d files removed, none left", files), nil
}

// Check returns nil if the computer has booted and was not asked to go.
func (p *Provider) Check(ctx context.Context, id compute.ID) error {
	if err := ctx.Err(); err != nil {
		return fault("check", id, nil, err)
	}
	_, err := p.up("check", id)
	return err
}

// Fit reports the same for a computer in memory that only this provider uses. It reports nothing of
// others, as tests make them fail.
func (p *Provider) Fit(id compute.ID, _ string) bool {
	if !p.alone {
		return false
	}
	_, err := p.up("check", id)
	return err == nil
}
