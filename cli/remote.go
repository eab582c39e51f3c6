package cli

import (
	"context"
	"sync"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/provider/local"
)

// remote is the backend of a command that asks a controller.
type remote struct {
	app    *App
	client *client.Client
}

func (b remote) engine(context.Context) (Engine, error) { return b.client, nil }

func (b remote) self() api.Self { return b.app.self }

func (b remote) owner() string { return b.app.self.Name }

// sourceList is the controller's sources, which are read once.
type sourceList struct {
	mu  sync.Mutex
	all []inventory.SourceStatus
}

// sources asks the controller once. Without an answer there are none, and the next request tells
// why.
func (b remote) sources(ctx context.Context) []inventory.SourceStatus {
	l := b.app.sources
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all, _ = b.client.Status(ctx) // a later request reports the error
	}
	return l.all
}

// limited is true only for commands that bypass the controller, which queues all others.
func (b remote) limited(source string) bool {
	a := b.app
	s, _ := a.Source(source)
	return s.Concurrency > 0 && a.Host.Kinds.Kind(s.Type).Itself && a.Here() && a.Same
}

// moving is false after a failed attempt, as the next one is later.
func (b remote) moving(i compute.Instance) bool { return i.Attempts == 0 }

// due asks the user's own controller to work on what is due. Another one does so by itself.
func (b remote) due(ctx context.Context, _ []string) {
	if !b.app.self.Own {
		return
	}
	short, cancel := context.WithTimeout(ctx, dueTime)
	defer cancel()
	_ = b.client.Work(short) // the controller does the rest later
}

// leaf returns the real instance behind one of the controller's, and its source.
func (b remote) leaf(ctx context.Context, i compute.Instance) (compute.Instance, inventory.SourceStatus, error) {
	s, ok := b.app.Source(i.Source)
	if !ok || !b.app.Host.Kinds.Kind(s.Type).Pool {
		return i, s, nil
	}
	leaf, err := b.client.Leaf(ctx, i.ID)
	s, _ = b.app.Source(leaf.Source)
	return leaf, s, err
}

// connect connects through the controller. If the controller is our own, this machine is used from
// this process, with its environment, terminal and limits.
func (b remote) connect(ctx context.Context, _ Engine, who compute.Who, i compute.Instance, _ bool) (compute.Conn, string, error) {
	a := b.app
	leaf, s, err := b.leaf(ctx, i)
	if err != nil {
		return nil, "", err
	}
	if !a.Host.Kinds.Kind(s.Type).Itself || !a.Here() {
		conn, err := b.client.Connect(ctx, who, i.ID)
		return conn, s.Type, err
	}
	if _, err := b.client.Use(ctx, who, i.ID); err != nil {
		return nil, "", err
	}
	state, err := host.StateDir() // our own controller cleans what we put there
	if err != nil {
		return nil, "", err
	}
	p, err := local.Open(ctx, a.Log, local.Options{
		Source: leaf.Source, Installation: a.self.Installation, Dir: host.ComputersDir(state, leaf.Source),
	})
	if err != nil {
		return nil, "", err
	}
	conn, err := p.Connect(ctx, leaf.ID)
	return conn, s.Type, err
}

func (b remote) watch(ctx context.Context, _ Engine, q inventory.EventQuery, f func(compute.Event) error) error {
	return b.client.Watch(ctx, q, f)
}
