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
)

// CommanderOptions say how images come onto nodes.
type CommanderOptions struct {
	Session      *openstack.Session
	Installation string
	Flavors      []FlavorRule // whose ways count; a node of none of them is a hot standby
	Keys         []string     // public ssh keys that a hot standby lets in
	UserData     []byte       // what a hot standby is told at its first boot; nil: nothing
	// a hot standby is told its ssh host key, and its mark has it, so that whoever is given the
	// node knows it
	HostKey  bool
	PowerOff bool          // hot standbys are switched off while they wait
	Poll     time.Duration // a node that is being written is looked at so often; 0: 5 s
	Log      *slog.Logger  // nil: nobody is told
}

// Commander has images written to nodes, and nodes wiped. What takes several steps it brings to its
// end by itself, in one goroutine that Close ends; what another process left in the middle it goes
// on with at its first command. It may be used from many goroutines.
type Commander struct {
	a       *api
	o       CommanderOptions
	flavors []flavorRule

	ctx    context.Context
	cancel func()
	wg     sync.WaitGroup

	mu      sync.Mutex
	nodes   map[string]*sync.Mutex // who holds a node's does something to it
	pending map[string]int         // nodes whose writing goes on, with how often it was begun here
	going   bool                   // there is a goroutine that looks at them
	resumed bool
	begun   int
	passed  chan struct{} // closed when all pending ones have been looked at once more
}

var (
	_ metal.Commander = (*Commander)(nil)
	_ metal.Resumer   = (*Commander)(nil)
)

// NewCommander makes a commander. It asks nobody yet.
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

// Close stops looking after nodes. What is under way at them goes on, and the next commander goes
// on with it.
func (c *Commander) Close() error {
	c.cancel()
	c.wg.Wait()
	return nil
}

// hold waits until nobody else here does anything to a node.
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

// Resume goes on with what another process left in the middle. Cache and Eject do it too, at their
// first call.
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

// way is how an image comes onto a node.
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
	if m != nil && m.Installation == c.o.Installation && m.Instance == "" && m.Image == image.ID && r.barred() == "" {
		held := cacheHolds(c.o.Installation, r)
		switch {
		case m.State == cached && (r.Instance == "" || held) && (r.state() == stateActive) == m.Way.standby() &&
			(r.state() == stateActive || r.state() == stateAvailable):
			return nil // it is there
		case m.State == caching && held && r.state() != stateAvailable && !r.broken(), m.State == caching && r.ending():
			c.follow(r.UUID) // it is on its way
			return nil
		case m.State == caching && r.state() == stateAvailable &&
			(m.Way == Prefetch && r.Instance == "" || m.Way == Clean && m.Step != "" && held):
			// it was deployed and wiped, or cleaned and provided, and only its mark is left to do
			c.follow(r.UUID)
			return nil
		case m.State == caching && held && r.state() == stateAvailable && m.Way == Passthru &&
			(m.Step != "" || r.Driver.CacheStatus == caching):
			c.follow(r.UUID) // the vendor's call was made
			return nil
		case m.State == caching && held && r.state() == stateAvailable:
			// claimed, and then nothing was heard of it
			return c.begin(ctx, r, m)
		}
	}
	// claimed for an image of before, or without a mark
	if r.state() == stateAvailable && cacheHolds(c.o.Installation, r) && r.barred() == "" {
		if err := c.letGo(ctx, r, ""); err != nil {
			return err
		}
		if r, err = c.a.node(ctx, "Cache", node); err != nil {
			return err
		}
	}
	if r.others(c.o.Installation) {
		return conflict("Cache", r.label(), "another installation of hostler has an image on the node")
	}
	if why := r.taken(); why != "" {
		return conflict("Cache", r.label(), "an image can not be written to the node: %s", why)
	}
	m = &mark{
		Image: image.ID, ImageName: image.Name, Checksum: image.Checksum, State: caching,
		Since: time.Now().UTC().Truncate(time.Second), Attempt: attempt, Way: f.Way, Installation: c.o.Installation,
	}
	if err := c.claim(ctx, r, f, m); err != nil {
		if !surely(err) {
			c.follow(r.UUID) // it may be claimed for all that
		}
		return err
	}
	return c.begin(ctx, r, m)
}

// claim takes a free node for the cache, and marks it.
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

// markOps put a mark in place of the one that a record shows.
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

// begin starts the writing of an image to a node that is claimed for it. What came of a request
// that was not answered, or that another one was faster than, is seen by whoever looks after the
// node.
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
	if surely(err) {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if lost := c.giveUp(undo, r.UUID); lost != nil {
			c.o.Log.Warn("a node that was claimed could not be let go", "node", r.label(), "err", lost)
		}
	}
	c.follow(r.UUID)
	return err
}

// deploy has a node deployed that is claimed for the cache. What it is told is noted on it first.
func (c *Commander) deploy(ctx context.Context, r *record, m *mark) error {
	name, marked := "standby-"+r.label(), *m
	data, public, err := openstack.FirstBoot(name, c.o.HostKey && m.Way.standby(), c.o.UserData)
	if err != nil {
		return &compute.Error{
			Op: "ironic.Cache", ID: compute.ID(r.label()), Kind: compute.ErrInvalid,
			Err: fmt.Errorf("user data: %w", err),
		}
	}
	marked.HostKey, marked.Told = public, told(c.o.Keys, c.o.UserData)
	if err := c.a.patch(
		ctx, "Cache", r.UUID, append(deployOps(m.Image), operation{Op: "add", Path: "/extra/hostler", Value: marked}),
	); err != nil {
		return err
	}
	return c.a.provision(ctx, "Cache", r.UUID, "active", map[string]any{"configdrive": configDrive(name, r.UUID, c.o.Keys, data)})
}

// deployOps say what is to be deployed.
func deployOps(image string) []operation {
	return []operation{{Op: "add", Path: "/instance_info/image_source", Value: image}}
}

// follow looks after a node until what was begun there has come to its end.
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

// run looks at all nodes that are being written, again and again, until there are none.
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

// pass looks once at each node that is being written, and takes it a step further. The error is
// that of ctx.
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
