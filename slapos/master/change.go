package master

import (
	"cmp"
	"context"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
)

// A Change is a change of a tree. A field that is nil, or "", stays.
type Change struct {
	State      string
	Release    string
	Type       string
	Parameters proto.Dictionary  // empty, and not nil: none
	Filter     map[string]string // the same; it counts when a place is sought
}

// Change changes the root of a tree, like a request by its owner with all that it has. Instances
// that the root has asked for are its own to change, but a new state goes through the whole tree. A
// root without a place gets one, if there is one by now.
func (m *requests) Change(ctx context.Context, who access.Who, id string, c Change) (*Answer, error) {
	given, err := proto.FormatParameters(c.Parameters)
	if err != nil {
		return nil, access.Malformed(err)
	}
	if err := cmp.Or(
		stateNamed(c.State), access.CheckName("software_release", cmp.Or(c.Release, "x"), access.MaxURL),
		access.CheckName("software_type", cmp.Or(c.Type, "x"), access.MaxTitle),
	); err != nil {
		return nil, err
	}
	var a *requestState
	wrote, err := m.ledger.ReadOrUpdate(ctx, func(b ledger.View) error {
		n, err := Known(who, id)(b)
		if err != nil {
			return err
		}
		if n.Root != n.ID {
			return access.Refuse(compute.ErrConflict, "%s was asked for by another instance of its tree, which alone changes it.", n.Title)
		}
		a = m.requestFor(n)
		if c.Parameters != nil {
			a.parameters, a.parametersGiven = given, true
		}
		if c.Filter != nil {
			a.filter = c.Filter
		}
		a.State, a.Release, a.Type = cmp.Or(c.State, n.Asked), cmp.Or(c.Release, n.Release), cmp.Or(c.Type, n.Type)
		return a.decide(b, false)
	})
	if err != nil {
		return nil, err
	}
	return m.finish(ctx, a, wrote)
}

// requestFor is the request that would ask for an instance as it is.
func (m *requests) requestFor(n *record.Instance) *requestState {
	q := &proto.Request{Release: n.Release, Type: n.Type, Title: n.Title, Shared: n.Shared, State: n.Asked, Project: n.Project}
	who := access.Who{All: n.Owner == "", User: n.Owner, Project: n.Project}
	return &requestState{
		Request: q, m: m, who: who, now: time.Now().UTC(), parameters: n.Parameters, filter: n.Filter, parametersGiven: true,
	}
}

func stateNamed(state string) error {
	switch state {
	case "", proto.Started, proto.Stopped, proto.Destroyed:
		return nil
	}
	return access.Invalid("state: %.80q is none of started, stopped, destroyed", state)
}

// Waiting is the root with a title that a caller has asked for and that has no place yet.
func (m *requests) Waiting(ctx context.Context, who access.Who, title string, shared bool) (id string, err error) {
	err = m.ledger.Do(ctx, func(b ledger.View) error {
		n, err := b.Named(ledger.RootName(who.User, who.Project, title, shared))
		if err != nil {
			return err
		}
		if n == nil || ledger.Placed(n) {
			return access.Refuse(compute.ErrNotFound, "No instance tree %s found.", title)
		}
		id = n.ID
		return nil
	})
	return id, err
}
