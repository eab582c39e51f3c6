package ironic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/login"
)

// CommanderOptions say how images are written to nodes.
type CommanderOptions struct {
	Session      *openstack.Session
	Installation string
	Flavors      []FlavorRule // their ways count; a node of no flavor becomes a hot standby
	Keys         []string     // public ssh keys that hot standbys accept
	UserData     []byte       // for a hot standby's first boot; nil: none
	// hot standbys get their ssh host key from us, and their mark has it for later log-ins
	HostKey  bool
	PowerOff bool          // switch hot standbys off while they wait
	Poll     time.Duration // how often a node that is being written is read; 0: 5 s
	Log      *slog.Logger  // nil: none
}

// Commander writes images to nodes, and wipes nodes. Work of several steps goes on in one
// goroutine, which Close ends. At its first command it continues what another process left
// unfinished. Any number of goroutines may use it.
type Commander struct {
	a       *api
	o       CommanderOptions
	flavors []flavorRule

	ctx    context.Context
	cancel func()
	wg     sync.WaitGroup

	mu      sync.Mutex
	nodes   map[string]*sync.Mutex // a node's lock is held while something is done to it
	pending map[string]int         // nodes being written, with how often that was begun here
	going   bool                   // a goroutine looks after them
	resumed bool
	begun   int
	passed  chan struct{} // closed after the next look at all pending nodes
}

var (
	_ metal.Commander = (*Commander)(nil)
	_ metal.Resumer   = (*Commander)(nil)
)

// NewCommander makes a commander. It calls nothing.
func NewCommander(o CommanderOptions) (*Commander, error) {
	fail := func(err error) (*Commander, error) {
		return nil, &compute.Error{Op: "ironic.NewCommander", Kind: compute.ErrInvalid, Err: err}
	}
	if o.Session == nil || o.Installation == "" {
		return fail(errors.New("a commander needs a session, and an installation an id"))
	}
	flavors, err := compileFlavors(o.Flavors)
	if err != nil {
		return fail(err)
	}
	o.Poll = cmp.Or(o.Poll, 5*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Commander{
		a: newAPI(o.Session), o: o, flavors: flavors, nodes: map[string]*sync.Mutex{}, pending: map[string]int{},
		passed: make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Close stops looking after nodes. Work at them goes on, and the next commander continues it.
func (c *Commander) Close() error {
	c.cancel()
	c.wg.Wait()
	return nil
}

// hold waits until no other goroutine works on a node.
func (c *Commander) hold(id string) (release func()) {
	c.mu.Lock()
	m := c.nodes[id]
	if m == nil {
		m = &sync.Mutex{}
		c.nodes[id] = m
	}
	c.mu.Unlock()
	m.Lock()
	return m.Unlock
}

// Resume continues what another process left unfinished. The first call of Cache or Eject does it
// too.
func (c *Commander) Resume(ctx context.Context) error {
	c.mu.Lock()
	done := c.resumed
	c.mu.Unlock()
	if done {
		return nil
	}
	ids, err := list(ctx, c.a, "Resume", url.Values{}, func(r *record) (string, bool) {
		m := r.Extra.Mark
		return r.UUID, m != nil && m.Installation == c.o.Installation && m.Instance == "" && m.State == caching
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.resumed = true
	c.mu.Unlock()
	for _, id := range ids {
		c.follow(id)
	}
	return nil
}

// way returns the rule that says how images are written to a node.
func (c *Commander) way(r *record) *flavorRule {
	if _, f := flavorOf(c.flavors, r); f != nil {
		return f
	}
	return &flavorRule{FlavorRule: FlavorRule{Way: Deploy}}
}

// Cache implements metal.Commander.
func (c *Commander) Cache(ctx context.Context, node string, image metal.Image) error {
	if err := c.Resume(ctx); err != nil {
		return err
	}
	defer c.hold(node)()
	r, err := c.a.node(ctx, "Cache", node)
	if err != nil {
		return err
	}
	f := c.way(r)
	m := r.Extra.Mark
	attempt := 1
	if m != nil {
		attempt = m.Attempt + 1
	}
	if m != nil && m.Installation == c.o.Installation && m.Instance == "" && m.Image == image.ID && r.blockedReason() == "" {
		held := heldByCache(c.o.Installation, r)
		switch {
		case m.State == cached && (r.Instance == "" || held) && (r.state() == stateActive) == m.Way.standby() &&
			(r.state() == stateActive || r.state() == stateAvailable):
			return nil // the image is there already
		case m.State == caching && held && r.state() != stateAvailable && !r.broken(), m.State == caching && r.ending():
			c.follow(r.UUID) // the image is being written
			return nil
		case m.State == caching && r.state() == stateAvailable &&
			(m.Way == Prefetch && r.Instance == "" || m.Way == Clean && m.Step != "" && held):
			// it was deployed and wiped, or cleaned and provided; only its mark is missing
			c.follow(r.UUID)
			return nil
		case m.State == caching && held && r.state() == stateAvailable && m.Way == Passthru &&
			(m.Step != "" || r.Driver.CacheStatus == caching):
			c.follow(r.UUID) // the vendor's call was made
			return nil
		case m.State == caching && held && r.state() == stateAvailable:
			// it was claimed, and nothing else is known
			return c.begin(ctx, r, m)
		}
	}
	// claimed for an earlier image, or without a mark
	if r.state() == stateAvailable && heldByCache(c.o.Installation, r) && r.blockedReason() == "" {
		if err := c.letGo(ctx, r, ""); err != nil {
			return err
		}
		if r, err = c.a.node(ctx, "Cache", node); err != nil {
			return err
		}
	}
	if r.otherInstallation(c.o.Installation) {
		return conflict("Cache", r.label(), "another installation of hostler has an image on the node")
	}
	if why := r.unavailableReason(); why != "" {
		return conflict("Cache", r.label(), "an image can not be written to the node: %s", why)
	}
	m = &mark{
		Image: image.ID, ImageName: image.Name, Checksum: image.Checksum, State: caching,
		Since: time.Now().UTC().Truncate(time.Second), Attempt: attempt, Way: f.Way, Installation: c.o.Installation,
	}
	if err := c.claim(ctx, r, f, m); err != nil {
		if !wasRefused(err) {
			c.follow(r.UUID) // the claim may have succeeded all the same
		}
		return err
	}
	return c.begin(ctx, r, m)
}

// claim claims a free node for the cache, and marks it.
func (c *Commander) claim(ctx context.Context, r *record, f *flavorRule, m *mark) error {
	var ops []operation
	if f.Way == Allocate {
		if err := c.allocate(ctx, r); err != nil {
			return err
		}
	} else {
		ops = append(ops, operation{Op: "add", Path: "/instance_uuid", Value: standbyClaim(c.o.Installation, r.UUID)})
	}
	return c.a.patch(ctx, "Cache", r.UUID, append(ops, markOps(r, m)...))
}

// markOps replaces the mark in a record by another.
func markOps(r *record, m *mark) []operation {
	var ops []operation
	if old := r.Extra.Mark; old != nil && !old.Since.IsZero() {
		ops = append(
			ops, operation{Op: "test", Path: "/extra/hostler/since", Value: old.Since},
			operation{Op: "replace", Path: "/extra/hostler", Value: m},
		)
		return ops
	}
	return append(ops, operation{Op: "add", Path: "/extra/hostler", Value: m})
}

// begin starts to write an image to a node that is claimed for it. The request may have no answer,
// or another process may be faster. The goroutine that looks after the node finds out.
func (c *Commander) begin(ctx context.Context, r *record, m *mark) error {
	var err error
	switch m.Way {
	case Clean:
		err = c.a.provision(ctx, "Cache", r.UUID, "manage", nil)
	case Passthru:
		err = c.passthru(ctx, r, m)
	default:
		err = c.deploy(ctx, r, m)
	}
	if wasRefused(err) {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if lost := c.giveUp(undo, r.UUID); lost != nil {
			c.o.Log.Warn("a node that was claimed could not be let go", "node", r.label(), "err", lost)
		}
	}
	c.follow(r.UUID)
	return err
}

// deploy deploys a node that is claimed for the cache. It first notes on the node what the node is
// told.
func (c *Commander) deploy(ctx context.Context, r *record, m *mark) error {
	name, marked := "standby-"+r.label(), *m
	data, public, err := login.FirstBoot(name, c.o.HostKey && m.Way.standby(), c.o.UserData)
	if err != nil {
		return &compute.Error{
			Op: "ironic.Cache", ID: compute.ID(r.label()), Kind: compute.ErrInvalid,
			Err: fmt.Errorf("user data: %w", err),
		}
	}
	marked.HostKey, marked.Told = public, bootConfigDigest(c.o.Keys, c.o.UserData)
	if err := c.a.patch(
		ctx, "Cache", r.UUID, append(deployOps(m.Image), operation{Op: "add", Path: "/extra/hostler", Value: marked}),
	); err != nil {
		return err
	}
	return c.a.provision(ctx, "Cache", r.UUID, "active", map[string]any{"configdrive": configDrive(name, r.UUID, c.o.Keys, data)})
}

// deployOps set the image to deploy.
func deployOps(image string) []operation {
	return []operation{{Op: "add", Path: "/instance_info/image_source", Value: image}}
}

// follow looks after a node until the work at it has ended.
func (c *Commander) follow(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun++
	c.pending[id] = c.begun
	if !c.going && c.ctx.Err() == nil {
		c.going = true
		c.wg.Go(c.run)
	}
}

// run looks at all pending nodes again and again, until there are none.
func (c *Commander) run() {
	for {
		c.mu.Lock()
		c.going = len(c.pending) > 0
		going := c.going
		c.mu.Unlock()
		if !going || c.pass(c.ctx) != nil || sleep(c.ctx, c.o.Poll) != nil {
			return
		}
	}
}

// pass looks once at each pending node, and takes its next step. The error is that of ctx.
func (c *Commander) pass(ctx context.Context) error {
	c.mu.Lock()
	all := maps.Clone(c.pending)
	c.mu.Unlock()
	for id, begun := range all {
		done, err := c.step(ctx, id)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			c.o.Log.Warn("a node that is being written does not go on", "node", id, "err", err)
		}
		if done && err == nil { // else it is looked at again
			c.mu.Lock()
			if c.pending[id] == begun {
				delete(c.pending, id)
			}
			c.mu.Unlock()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.passed)
	c.passed = make(chan struct{})
	return nil
}

// Finish implements metal.Resumer.
func (c *Commander) Finish(ctx context.Context, most time.Duration) []string {
	over := time.NewTimer(most)
	defer over.Stop()
	for {
		c.mu.Lock()
		left, passed := slices.Sorted(maps.Keys(c.pending)), c.passed
		c.mu.Unlock()
		if len(left) == 0 {
			return nil
		}
		select {
		case <-passed:
			continue
		case <-over.C:
			_ = c.pass(ctx)
		case <-ctx.Done():
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return slices.Sorted(maps.Keys(c.pending))
	}
}
