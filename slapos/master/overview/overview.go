// Package overview lists a SlapOS master's records for people: pages of computers and instances,
// each with its last status.
package overview

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
)

// A ComputerSummary is a computer with counts of its content and its last status.
type ComputerSummary struct {
	Record         *record.Computer // which must not be changed
	Busy, Releases int
	Said           *record.Status // nil: nothing was ever reported
}

// A Page selects a part of a list: the entries after one, up to a limit.
type Page struct {
	After string // the Next of the page before; "": from the beginning
	Limit int
}

// Computers are the caller's computers whose name or title contains a text, in the order of their
// names. next is "" after the last one.
func Computers(
	ctx context.Context, m *master.Master, who access.Who, match string, page Page,
) (all []ComputerSummary, next string, err error) {
	if err := m.Ledger.Refresh(ctx); err != nil {
		return nil, "", err
	}
	match = strings.ToLower(match)
	err = m.Ledger.Read(func(b ledger.View) error {
		mem := b.(*ledger.Memory)
		var guids []string
		for guid, of := range mem.Computers {
			if guid > page.After && who.Owns(guid, of.Record) == nil &&
				(contains(guid, match) || of.Record != nil && contains(of.Record.Title, match)) {
				guids = append(guids, guid)
			}
		}
		slices.Sort(guids)
		if len(guids) > page.Limit {
			guids = guids[:page.Limit]
			next = guids[len(guids)-1]
		}
		for _, guid := range guids {
			all = append(all, summary(mem, guid))
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	keys := make([]string, len(all))
	for i := range all {
		keys[i] = master.ComputerStatus(all[i].Record.GUID)
	}
	return all, next, m.Statuses.Each(ctx, keys, func(i int, s *record.Status) { all[i].Said = s })
}

func contains(text, lower string) bool {
	return lower == "" || strings.Contains(strings.ToLower(text), lower)
}

// summary is a computer's summary without its node's status.
func summary(m *ledger.Memory, guid string) ComputerSummary {
	of := m.Computers[guid]
	s := ComputerSummary{Record: of.Record, Releases: len(of.Supplies)}
	if s.Record == nil {
		s.Record = &record.Computer{GUID: guid}
	}
	s.Busy = len(of.Placed)
	return s
}

// A ComputerView is a computer with all that is on it.
type ComputerView struct {
	ComputerSummary
	At       map[string]*InstanceSummary // by partition; those in which nothing is are left out
	Supplied []SupplyView                // in the order in which they were asked for
}

// A SupplyView is a release on a computer, with its last status.
type SupplyView struct {
	record.Supply
	Said *record.Status // nil: nothing was ever reported
}

// Computer is a computer of the caller's, with all that is on it.
func Computer(ctx context.Context, m *master.Master, who access.Who, guid string) (*ComputerView, error) {
	if err := m.Ledger.Refresh(ctx); err != nil {
		return nil, err
	}
	out := &ComputerView{At: map[string]*InstanceSummary{}}
	var placed []*InstanceSummary
	err := m.Ledger.Read(func(b ledger.View) error {
		mem := b.(*ledger.Memory)
		of := mem.Computers[guid]
		if of == nil || guid == "" {
			return cmp.Or(who.Speaks(guid), access.UnknownComputer(guid))
		}
		if err := who.Owns(guid, of.Record); err != nil {
			return err
		}
		out.ComputerSummary = summary(mem, guid)
		for _, s := range master.Ordered(of.Supplies) {
			out.Supplied = append(out.Supplied, SupplyView{Supply: *s})
		}
		for _, n := range of.Placed {
			placed = append(placed, instanceSummary(mem, n))
			out.At[n.Partition] = placed[len(placed)-1]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	keys := []string{master.ComputerStatus(guid)}
	for i := range out.Supplied {
		keys = append(keys, master.SupplyStatusKey(guid, out.Supplied[i].URL))
	}
	for _, n := range placed {
		keys = append(keys, master.InstanceStatusKey(n.Record.ID))
	}
	return out, m.Statuses.Each(ctx, keys, func(i int, s *record.Status) {
		switch supplied := len(out.Supplied); {
		case i == 0:
			out.Said = s
		case i <= supplied:
			out.Supplied[i-1].Said = s
		default:
			placed[i-1-supplied].Said = s
		}
	})
}

// An InstanceSummary is an instance with its owner, and the last status from its node.
type InstanceSummary struct {
	Record      *record.Instance // which must not be changed
	RootTitle   string
	ParentTitle string // "": a user asked for it, or its parent is gone
	HostTitle   string // of a shared one that has a host
	Computer    string // where it is, or its host
	Partition   string
	Members     int // of a root, how many instances its tree has, with itself
	Unplaced    int // of those, how many have no place
	Said        *record.Status
}

// instanceSummary returns n with its titles; a shared instance shows the place of its host.
// Members and Unplaced are counted for a root alone.
func instanceSummary(m *ledger.Memory, n *record.Instance) *InstanceSummary {
	s := &InstanceSummary{Record: n, RootTitle: n.Title, Computer: n.Computer, Partition: n.Partition}
	if root := m.ByID[n.Root]; root != nil {
		s.RootTitle = root.Title
	}
	if parent := m.ByID[n.Parent]; parent != nil {
		s.ParentTitle = parent.Title
	}
	if host := m.ByID[n.Host]; host != nil {
		s.HostTitle, s.Computer, s.Partition = host.Title, host.Computer, host.Partition
	}
	if n.Root != n.ID {
		return s
	}
	s.Members = max(1, len(m.Trees[n.ID]))
	for id := range m.Trees[n.ID] {
		if other := m.ByID[id]; other != nil && !ledger.Placed(other) {
			s.Unplaced++
		}
	}
	if len(m.Trees[n.ID]) == 0 && !ledger.Placed(n) {
		s.Unplaced = 1
	}
	return s
}

// Unplaced is the state in an InstanceQuery for instances without a place.
const Unplaced = "unplaced"

// An InstanceQuery asks for instances: those that have all that is set here.
type InstanceQuery struct {
	Roots bool   // roots of trees alone
	Root  string // those of the tree of this ID
	Host  string // the shared ones that the instance of this ID has
	State string // the state that is wanted, or Unplaced
	Match string // a text that is in the title, the release or the owner's name
}

// selects reports whether n meets every condition that is set. Match is looked for in the title,
// the release and the owner.
func (q *InstanceQuery) selects(n *record.Instance) bool {
	switch {
	case q.Roots && n.Root != n.ID, q.Root != "" && n.Root != q.Root, q.Host != "" && n.Host != q.Host:
		return false
	case q.State == Unplaced && ledger.Placed(n), q.State != "" && q.State != Unplaced && n.State != q.State:
		return false
	}
	return q.Match == "" || contains(n.Title, q.Match) || contains(n.Release, q.Match) || contains(n.Owner, q.Match)
}

// Instances are the caller's instances, in the order of their titles. next is "" after the last
// one.
func Instances(
	ctx context.Context, m *master.Master, who access.Who, q InstanceQuery, page Page,
) (all []*InstanceSummary, next string, err error) {
	if err := m.Ledger.Refresh(ctx); err != nil {
		return nil, "", err
	}
	q.Match = strings.ToLower(q.Match)
	err = m.Ledger.Read(func(b ledger.View) error {
		mem := b.(*ledger.Memory)
		var some []*record.Instance
		take := func(n *record.Instance) {
			if n != nil && q.selects(n) && who.Holds(n) == nil && orderOf(n) > page.After {
				some = append(some, n)
			}
		}
		switch {
		case q.Root != "" || q.Host != "":
			of, err := mem.Instances(q.Root, q.Host, "")
			if err != nil {
				return err
			}
			for _, n := range of {
				take(n)
			}
		default:
			for _, n := range mem.ByID {
				take(n)
			}
		}
		slices.SortFunc(some, func(a, b *record.Instance) int {
			return cmp.Or(cmp.Compare(a.Title, b.Title), cmp.Compare(a.ID, b.ID))
		})
		if len(some) > page.Limit {
			some = some[:page.Limit]
			next = orderOf(some[len(some)-1])
		}
		for _, n := range some {
			all = append(all, instanceSummary(mem, n))
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return all, next, instanceStatuses(ctx, m, all)
}

// orderOf is by what instances are listed.
func orderOf(n *record.Instance) string { return ledger.Key(n.Title, n.ID) }

func instanceStatuses(ctx context.Context, m *master.Master, all []*InstanceSummary) error {
	keys := make([]string, len(all))
	for i := range all {
		keys[i] = master.InstanceStatusKey(all[i].Record.ID)
	}
	return m.Statuses.Each(ctx, keys, func(i int, s *record.Status) { all[i].Said = s })
}

// An InstanceView is an instance with its request and its connection parameters.
type InstanceView struct {
	InstanceSummary
	Parameters, Connection proto.Dictionary
	Addresses              []proto.Address
}

// Instance is an instance of the caller's.
func Instance(ctx context.Context, m *master.Master, who access.Who, id string) (*InstanceView, error) {
	if err := m.Ledger.Refresh(ctx); err != nil {
		return nil, err
	}
	out := &InstanceView{}
	err := m.Ledger.Read(func(b ledger.View) error {
		n, err := master.Known(who, id)(b)
		if err != nil {
			return err
		}
		a, err := master.AnswerOf(b, n)
		if err != nil {
			return err
		}
		out.InstanceSummary = *instanceSummary(b.(*ledger.Memory), n)
		out.Parameters, out.Connection, out.Addresses = a.Parameters, a.Connection, a.Addresses
		for _, full := range a.FullAddresses {
			out.Addresses = append(out.Addresses, proto.Address{Interface: full.Interface, IP: full.IP})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, instanceStatuses(ctx, m, []*InstanceSummary{&out.InstanceSummary})
}

// Offered says whether a release is supplied on a computer without an owner.
func Offered(ctx context.Context, m *master.Master, release string) (ok bool, err error) {
	if err := m.Ledger.Refresh(ctx); err != nil {
		return false, err
	}
	err = m.Ledger.Read(func(b ledger.View) error {
		ok = false
		for _, of := range b.(*ledger.Memory).Computers {
			if s := of.Supplies[release]; s != nil && s.State == proto.Available && (of.Record == nil || of.Record.Owner == "") {
				ok = true
				break
			}
		}
		return nil
	})
	return ok, err
}
