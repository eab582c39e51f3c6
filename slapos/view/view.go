package view

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/overview"
	"github.com/hostler-project/hostler/slapos/parameter"
	"github.com/hostler-project/hostler/slapos/record"
)

// Options say what a view is of.
type Options struct {
	Master *master.Master
	// Who maps a principal to the master's caller, for reading or, with writes, for changes. An
	// error is that the principal may do neither.
	Who    func(p auth.Principal, writes bool) (access.Who, error)
	Loader *parameter.Loader // of the descriptions of releases; nil is one with the usual settings
}

// View shows a master to people. Its methods may be called concurrently.
type View struct {
	m    *master.Master
	who  func(p auth.Principal, writes bool) (access.Who, error)
	said software
}

// New makes a view.
func New(opt Options) *View {
	v := &View{m: opt.Master, who: opt.Who}
	if v.said.loader = opt.Loader; v.said.loader == nil {
		v.said.loader = &parameter.Loader{}
	}
	return v
}

// refusal is an error of the master as the API has it.
func refusal(err error) error {
	r, ok := errors.AsType[*access.Refusal](err)
	if !ok {
		return err
	}
	return &compute.Error{Kind: r.Kind, Err: errors.New(r.Text), Hint: r.Detail}
}

// notFoundFor is refusal, except that a denied thing looks like a missing one.
func notFoundFor(err error, what, name string) error {
	if errors.Is(err, compute.ErrDenied) || errors.Is(err, compute.ErrNotFound) {
		return &compute.Error{Kind: compute.ErrNotFound, Err: errors.New("there is no " + what + " " + name)}
	}
	return refusal(err)
}

// Computers are those that the caller may see, a page of them.
func (v *View) Computers(ctx context.Context, p auth.Principal, match string, page api.SlapPage) (out api.SlapComputerPage, err error) {
	who, err := v.who(p, false)
	if err != nil {
		return out, refusal(err)
	}
	all, next, err := overview.Computers(ctx, v.m, who, match, overview.Page{After: page.After, Limit: page.Limit})
	if err != nil {
		return out, refusal(err)
	}
	out = api.SlapComputerPage{Computers: make([]api.SlapComputer, len(all)), Next: next}
	for i := range all {
		out.Computers[i] = computer(&all[i])
	}
	return out, nil
}

func computer(s *overview.ComputerSummary) api.SlapComputer {
	c := s.Record
	return api.SlapComputer{Computer: c.GUID, Title: c.Title, Owner: c.Owner, Project: c.Project, Network: c.Network,
		Created: timeOrNull(c.Created), Partitions: len(c.Partitions),
		Busy: s.Busy, Releases: s.Releases, Status: status(s.Said)}
}

// timeOrNull is a time, or null.
func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func status(s *record.Status) *api.SlapStatus {
	if s == nil {
		return nil
	}
	return &api.SlapStatus{State: s.State, Message: s.Message, Error: s.Error, Since: s.Since, At: s.At}
}

// Computer is one, with all that is on it.
func (v *View) Computer(ctx context.Context, p auth.Principal, name string) (out api.SlapComputerDetail, err error) {
	who, err := v.who(p, false)
	if err != nil {
		return out, refusal(err)
	}
	c, err := overview.Computer(ctx, v.m, who, name)
	if err != nil {
		return out, notFoundFor(err, "computer", name)
	}
	out = api.SlapComputerDetail{
		SlapComputer: computer(&c.ComputerSummary), Slots: make([]api.SlapPartition, len(c.Record.Partitions)),
		Supplied: make([]api.SlapRelease, len(c.Supplied)),
	}
	for i, slot := range c.Record.Partitions {
		out.Slots[i] = api.SlapPartition{
			Partition: slot.ID, Addresses: []string{}, Programs: []api.SlapProgram{}, Promises: []api.SlapPromise{},
		}
		for _, a := range slot.Addresses {
			out.Slots[i].Addresses = append(out.Slots[i].Addresses, a.IP)
		}
		if in := c.At[slot.ID]; in != nil {
			n := instance(in)
			out.Slots[i].Instance = &n
		}
	}
	for i, s := range c.Supplied {
		out.Supplied[i] = api.SlapRelease{Release: s.URL, State: s.State, Created: s.Created, Status: status(s.Said)}
	}
	told, err := v.m.Computers.NodeReport(ctx, who, name)
	if err != nil {
		return out, refusal(err)
	}
	if told != nil {
		out.Told = timeOrNull(told.At)
		addNodeReport(out.Slots, told.Report.Partitions)
	}
	return out, nil
}

func instance(s *overview.InstanceSummary) api.SlapInstance {
	n := s.Record
	out := api.SlapInstance{Instance: n.ID, Title: n.Title, Root: n.Root, RootTitle: s.RootTitle, Parent: n.Parent,
		ParentTitle: s.ParentTitle, Owner: n.Owner, Project: n.Project,
		Shared: n.Shared, Release: n.Release, Type: n.Type, Asked: n.Asked, State: n.State, Host: n.Host,
		HostTitle: s.HostTitle, Members: s.Members, Unplaced: s.Unplaced,
		Created: n.Created, Status: status(s.Said)}
	if n.Stamp != 0 {
		out.Changed = timeOrNull(time.UnixMicro(n.Stamp).UTC())
	}
	if n.Partition == "" && n.Host == "" {
		out.Reason = cmp.Or(n.Reason, "there was no place for it")
	} else {
		out.Computer, out.Partition = s.Computer, s.Partition
	}
	return out
}

// Instances are those that the caller may see, a page of them.
func (v *View) Instances(ctx context.Context, p auth.Principal, q api.SlapQuery, page api.SlapPage) (out api.SlapInstancePage, err error) {
	who, err := v.who(p, false)
	if err != nil {
		return out, refusal(err)
	}
	of := overview.InstanceQuery{Roots: q.Roots, Root: q.Root, Host: q.Host, State: q.State, Match: q.Match}
	all, next, err := overview.Instances(ctx, v.m, who, of,
		overview.Page{After: page.After, Limit: page.Limit},
	)
	if err != nil {
		return out, refusal(err)
	}
	out = api.SlapInstancePage{Instances: make([]api.SlapInstance, len(all)), Next: next}
	for i, n := range all {
		out.Instances[i] = instance(n)
	}
	return out, nil
}

// Instance is an instance with its request.
func (v *View) Instance(ctx context.Context, p auth.Principal, id string) (out api.SlapInstanceDetail, err error) {
	who, err := v.who(p, false)
	if err != nil {
		return out, refusal(err)
	}
	return v.detail(ctx, who, id)
}

func (v *View) detail(ctx context.Context, who access.Who, id string) (out api.SlapInstanceDetail, err error) {
	n, err := overview.Instance(ctx, v.m, who, id)
	if err != nil {
		return out, notFoundFor(err, "instance", id)
	}
	out = api.SlapInstanceDetail{
		SlapInstance: instance(&n.InstanceSummary), Parameters: parameter.Plain(n.Parameters), Filter: n.Record.Filter,
		Addresses: []string{}, Connection: []string{},
	}
	if out.Filter == nil {
		out.Filter = map[string]string{}
	}
	for _, a := range n.Addresses {
		out.Addresses = append(out.Addresses, a.IP)
	}
	for name := range parameter.Plain(n.Connection) {
		out.Connection = append(out.Connection, name)
	}
	slices.Sort(out.Connection)
	return out, nil
}

// Connection has the connection parameters of an instance, for its requester.
func (v *View) Connection(ctx context.Context, p auth.Principal, id string) (out api.SlapConnection, err error) {
	who, err := v.who(p, true)
	if err != nil {
		return out, refusal(err)
	}
	n, err := overview.Instance(ctx, v.m, who, id)
	if err != nil {
		return out, notFoundFor(err, "instance", id)
	}
	return api.SlapConnection{Values: parameter.Plain(n.Connection)}, nil
}

// Changed waits for a change after a mark, and returns the new mark.
func (v *View) Changed(ctx context.Context, p auth.Principal, mark string) (string, error) {
	if _, err := v.who(p, false); err != nil {
		return "", refusal(err)
	}
	return v.m.Changed(ctx, mark)
}
