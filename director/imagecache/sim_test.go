package imagecache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
)

// machines are a fleet that behaves: writing and wiping take time, and fail at times. It is scout
// and commander.
type machines struct {
	t *testing.T

	mu      sync.Mutex
	nodes   []*machine
	images  []metal.Image
	flavors []string
	err     error         // of every look; nil: it works
	write   time.Duration // takes so long
	wipe    time.Duration
	lag     time.Duration // until what was begun is seen
	refuse  error         // of every command
	calls   []string
}

// machine is a node of it.
type machine struct {
	metal.Node
	until   time.Time // what is under way is done then
	shown   time.Time // and is seen from then on
	writing string    // this image
	wiping  bool
	fails   int // so many writes more fail
}

const gib = "flavor-a"

func newMachines(t *testing.T, n int) *machines {
	m := &machines{
		t: t, flavors: []string{gib},
		images: []metal.Image{{ID: "u1", Name: "ubuntu", Checksum: "1"}, {ID: "c1", Name: "cirros"}},
		write:  10 * time.Minute, wipe: 5 * time.Minute,
	}
	for i := range n {
		m.nodes = append(m.nodes, &machine{Node: metal.Node{ID: fmt.Sprintf("n%02d", i), Flavor: gib, Rack: fmt.Sprintf("r%d", i%3)}})
	}
	return m
}

// pass has happen what is due. The caller holds mu.
func (m *machines) pass() {
	now := time.Now()
	for _, n := range m.nodes {
		if n.until.IsZero() || now.Before(n.until) {
			continue
		}
		switch {
		case n.wiping:
			n.Provisioned, n.Cached, n.Image, n.Failed = false, false, "", ""
		case n.fails > 0:
			n.fails--
			// so a scout shows one that broke
			n.Provisioned, n.Cached, n.Image, n.Failed = false, true, "", "deploy failed"
		default:
			n.Cached, n.Image, n.Failed = true, n.writing, ""
			n.Writes++
		}
		n.until, n.writing, n.wiping = time.Time{}, "", false
	}
}

func (m *machines) Nodes(context.Context) (out []metal.Node, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pass()
	for _, n := range m.nodes {
		see := n.Node
		if !n.until.IsZero() && !time.Now().Before(n.shown) {
			if see.Writing = !n.wiping; see.Writing {
				see.Cached, see.Image, see.Failed, see.Provisioned = true, n.writing, "", false
			} else {
				see.Provisioned, see.Wiping, see.Cached, see.Image, see.Failed = true, true, false, "", ""
			}
		}
		out = append(out, see)
	}
	return out, m.err
}

func (m *machines) Images(context.Context) ([]metal.Image, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.images), m.err
}

func (m *machines) Flavors(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.flavors), m.err
}

// node finds one. The caller holds mu.
func (m *machines) node(id string) *machine {
	i := slices.IndexFunc(m.nodes, func(n *machine) bool { return n.ID == id })
	return m.nodes[i]
}

// change alters a node.
func (m *machines) change(id string, fn func(*machine)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pass()
	fn(m.node(id))
}

// set alters all that is not of a node.
func (m *machines) set(fn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fn()
}

func (m *machines) begin(what, id string, fn func(*machine)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pass()
	n := m.node(id)
	m.calls = append(m.calls, what+" "+id)
	if !n.until.IsZero() {
		m.t.Errorf("%s: told to %s while %q is written or it is wiped (%v)", id, what, n.writing, n.wiping)
		return nil
	}
	if n.Used {
		return &compute.Error{Kind: compute.ErrConflict, Err: errors.New("somebody has it")}
	}
	if m.refuse != nil {
		return m.refuse
	}
	fn(n)
	n.shown = time.Now().Add(m.lag)
	return nil
}

func (m *machines) Cache(_ context.Context, id string, image metal.Image) error {
	return m.begin("cache", id, func(n *machine) {
		if n.Cached {
			m.t.Errorf("%s: told to write %s onto %s", id, image.ID, n.Image)
		}
		n.writing, n.until = image.ID, time.Now().Add(m.write)
	})
}

func (m *machines) Eject(_ context.Context, id string) error {
	return m.begin("eject", id, func(n *machine) { n.wiping, n.until = true, time.Now().Add(m.wipe) })
}

// told returns the commands so far.
func (m *machines) told() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.calls)
}

// ready counts the nodes that have an image, by its id.
func (m *machines) ready() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pass()
	out := map[string]int{}
	for _, n := range m.nodes {
		if n.Cached && n.until.IsZero() {
			out[n.Image]++
		}
	}
	return out
}
