package master

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
)

// Format takes the description that a computer sends. An unknown computer is made. It has these
// partitions from then on and no others; an instance on a removed partition is lost.
func (m *computers) Format(ctx context.Context, who access.Who, c *proto.Configuration) error {
	if err := cmp.Or(access.CheckName("reference", c.Computer, access.MaxID), who.Speaks(c.Computer)); err != nil {
		return err
	}
	partitions := make([]record.Partition, len(c.Partitions))
	for i, p := range c.Partitions {
		if err := access.CheckName("the name of a partition", p.ID, access.MaxID); err != nil {
			return err
		}
		partitions[i].ID = p.ID
		for _, a := range p.Addresses {
			partitions[i].Addresses = append(
				partitions[i].Addresses,
				record.PartitionAddress{Interface: cmp.Or(p.Interface, p.ID), IP: a.IP, Netmask: a.Netmask},
			)
		}
	}
	return m.FormatAs(ctx, who, &record.Computer{GUID: c.Computer, Address: c.Address, Netmask: c.Netmask, Partitions: partitions})
}

// maxPartitions is the limit of a computer; no real machine has so many.
const maxPartitions = 10_000

// FormatAs is Format for callers that have more to say of addresses. It reads the record's GUID,
// Address, Netmask and Partitions.
func (m *computers) FormatAs(ctx context.Context, who access.Who, now *record.Computer) error {
	if err := cmp.Or(access.CheckName("the computer's name", now.GUID, access.MaxID), who.Speaks(now.GUID)); err != nil {
		return err
	}
	if len(now.Partitions) > maxPartitions {
		return access.Invalid("a computer has no more than %d partitions, and not %d", maxPartitions, len(now.Partitions))
	}
	names := make(map[string]bool, len(now.Partitions))
	for _, p := range now.Partitions {
		if err := access.CheckName("the name of a partition", p.ID, access.MaxID); err != nil {
			return err
		}
		if names[p.ID] {
			return access.Invalid("two partitions have the name %s", p.ID)
		}
		names[p.ID] = true
	}
	created := time.Now().UTC()
	return m.ledger.Do(ctx, func(b ledger.View) error {
		was, err := b.Computer(now.GUID)
		if err != nil {
			return err
		}
		c := record.Computer{GUID: now.GUID, Created: created}
		if was != nil {
			c = *was
		}
		c.Address, c.Netmask, c.Partitions = now.Address, now.Netmask, now.Partitions
		if was == nil || c.Address != was.Address || c.Netmask != was.Netmask || !reflect.DeepEqual(c.Partitions, was.Partitions) {
			if err := b.Save(ledger.ComputerEntry(&c)); err != nil {
				return err
			}
		}
		return m.trees.evict(b, &c)
	})
}

// evict removes the instances of partitions that a computer has no more.
func (m *trees) evict(b ledger.View, c *record.Computer) error {
	on, err := b.Instances("", "", c.GUID)
	if err != nil {
		return err
	}
	has := make(map[string]bool, len(c.Partitions))
	for i := range c.Partitions {
		has[c.Partitions[i].ID] = true
	}
	for _, n := range on {
		if n.Shared || has[n.Partition] {
			continue
		}
		if err := m.removeFromPartition(b, n); err != nil {
			return err
		}
	}
	return nil
}

// removeFromPartition removes an instance whose partition is gone. It is forgotten, unless it is
// a root of which others have partitions: then no caller could name these any more. So it stays
// without a place, until it is asked for again, or destroyed with them.
func (m *trees) removeFromPartition(b ledger.View, n *record.Instance) error {
	below, err := placedBelow(b, n)
	if err != nil {
		return err
	}
	if n.Root != n.ID || len(below) == 0 {
		return m.freePartition(b, n)
	}
	copied := *n
	copied.Computer, copied.Partition, copied.Connection = "", "", ""
	copied.Reason = "its partition " + n.Partition + " of " + n.Computer + " is no more"
	return cmp.Or(ledger.SaveInstance(b, &copied), DropStatus(b, InstanceStatusKey(n.ID)), m.findNewHosts(b, n, nil))
}

// Information is a node's document about its computer, in XML, with a tag that changes with it. The
// body must not be changed.
func (m *computers) Information(ctx context.Context, who access.Who, guid string) (body []byte, tag string, err error) {
	return m.InformationUnless(ctx, who, guid, "")
}

// InformationUnless is Information without the body for a caller that has it, by its tag.
func (m *computers) InformationUnless(ctx context.Context, who access.Who, guid, has string) (body []byte, tag string, err error) {
	if err := m.ledger.Refresh(ctx); err != nil {
		return nil, "", err
	}
	if body, tag, err = m.information(who, guid, has); err == nil && who.Speaks(guid) == nil {
		m.notes.noteContact(ctx, guid)
	}
	return body, tag, err
}

// information returns the document of a computer and its tag. The body is nil if has is the tag
// already, and cached if it has not changed.
func (m *computers) information(who access.Who, guid, has string) (body []byte, tag string, err error) {
	mem, done := m.ledger.RLock()
	defer done()
	seen := mem.Computers[guid]
	if seen == nil {
		if guid != m.opt.Computer || guid == "" {
			return nil, "", cmp.Or(who.Speaks(guid), access.UnknownComputer(guid))
		}
		seen = mem.UnknownComputer()
	}
	if err := who.Owns(guid, seen.Record); err != nil {
		return nil, "", err
	}
	d := seen.Document.Load()
	if d != nil && d.Tag == has {
		return nil, d.Tag, nil
	}
	if d != nil {
		if kept := d.Body.Load(); kept != nil {
			return *kept, d.Tag, nil
		}
	}
	c, err := computerDocument(mem, guid, seen)
	if err != nil {
		return nil, "", err
	}
	if body, err = documentOf(c); err != nil {
		return nil, "", access.Malformed(err)
	}
	d = &ledger.Document{Tag: TagOf(body)}
	m.ledger.CacheDocument(d, body)
	seen.Document.Store(d)
	return body, d.Tag, nil
}

// sheets are where documents are written, before they are known to be so long and no longer.
var sheets = sync.Pool{New: func() any { return new([]byte) }}

// documentOf encodes c in a buffer that is used again, and returns a copy of the right size.
func documentOf(c *proto.Computer) ([]byte, error) {
	sheet := sheets.Get().(*[]byte)
	body, err := proto.Append((*sheet)[:0], c.Object())
	if err != nil {
		return nil, err
	}
	*sheet = body
	defer sheets.Put(sheet)
	return bytes.Clone(body), nil
}

// Computer is a node's document about its computer.
func (m *computers) Computer(ctx context.Context, who access.Who, guid string) (*proto.Computer, error) {
	if err := m.ledger.Refresh(ctx); err != nil {
		return nil, err
	}
	mem, done := m.ledger.RLock()
	defer done()
	seen := mem.Computers[guid]
	if seen == nil {
		return nil, cmp.Or(who.Speaks(guid), access.UnknownComputer(guid))
	}
	if err := who.Owns(guid, seen.Record); err != nil {
		return nil, err
	}
	return computerDocument(mem, guid, seen)
}

// computerDocument is a computer with its partitions and releases.
func computerDocument(m *ledger.Memory, guid string, of *ledger.Computer) (*proto.Computer, error) {
	c := &proto.Computer{ID: guid}
	if of.Record != nil {
		for i := range of.Record.Partitions {
			p, err := partitionOf(m, of.Record, of.Record.Partitions[i].ID)
			if err != nil {
				return nil, err
			}
			c.Partitions = append(c.Partitions, *p)
		}
	}
	for _, s := range Ordered(of.Supplies) {
		c.Releases = append(c.Releases, proto.Release{URL: s.URL, Computer: guid, State: s.State})
	}
	return c, nil
}

// Ordered are supplies in the order in which they came.
func Ordered(supplies map[string]*record.Supply) []*record.Supply {
	return slices.SortedFunc(maps.Values(supplies), func(a, b *record.Supply) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.URL, b.URL))
	})
}

// partitionOf is a slot of a computer with its content, as its node is told.
func partitionOf(b ledger.View, c *record.Computer, id string) (*proto.Partition, error) {
	p := &proto.Partition{Computer: c.GUID, ID: id, GUID: c.GUID + "-" + id, State: proto.Destroyed}
	n, err := b.At(c.GUID, id)
	if err != nil || n == nil {
		return p, err
	}
	root, err := b.Instance(n.Root)
	if err != nil {
		return nil, err
	}
	p.GUID, p.Release, p.Type, p.Title, p.RootTitle, p.Timestamp = GUID(n), n.Release, n.Type, n.Title, n.Title, stampText(n.Stamp)
	if root != nil {
		p.RootTitle = root.Title
	}
	if p.State, err = stateForNode(b, n); err != nil {
		return nil, err
	}
	if p.Parameters, err = proto.ParseParameters(n.Parameters); err != nil {
		return nil, err
	}
	if p.Connection, err = proto.ParseParameters(n.Connection); err != nil {
		return nil, err
	}
	p.Addresses, p.FullAddresses = addresses(c, id)
	hosted, err := b.Instances("", n.ID, "")
	if err != nil {
		return nil, err
	}
	for _, s := range hosted {
		root, err := b.Instance(s.Root)
		if err != nil {
			return nil, err
		}
		reference := Reference(root, s)
		parameters, err := proto.ParseParameters(s.Parameters)
		if err != nil {
			return nil, err
		}
		p.Shared = append(p.Shared, proto.SharedInstance{Title: reference, Reference: reference, Type: s.Type, Parameters: parameters})
	}
	return p, nil
}

// Partition is one partition of a node, as the node is told.
func (m *computers) Partition(ctx context.Context, who access.Who, computer, partition string) (*proto.Partition, error) {
	if err := m.ledger.Refresh(ctx); err != nil {
		return nil, err
	}
	var p *proto.Partition
	err := m.ledger.Read(func(b ledger.View) error {
		c, err := b.Computer(computer)
		if err != nil {
			return err
		}
		if err := who.Owns(computer, c); err != nil {
			n, e := b.At(computer, partition)
			if e != nil || n == nil || who.Holds(n) != nil { // its user may look too
				return err
			}
		}
		if c == nil {
			return access.UnknownComputer(computer)
		}
		if !slices.ContainsFunc(c.Partitions, func(p record.Partition) bool { return p.ID == partition }) {
			return access.Refuse(compute.ErrNotFound, "The computer %s has no partition %s.", computer, partition)
		}
		p, err = partitionOf(b, c, partition)
		return err
	})
	return p, err
}

// NewComputer makes a computer of a title, and returns the name that the master gives it. If the
// caller has one of that title already, it returns that one's.
func (m *computers) NewComputer(ctx context.Context, who access.Who, title, project string) (guid string, err error) {
	if err := access.CheckName("computer_title", title, access.MaxTitle); err != nil {
		return "", err
	}
	if !who.All && who.User == "" {
		return "", access.Denied("Only users ask for computers.")
	}
	switch {
	case project == "":
		project = who.Project
	case who.Project != "" && project != who.Project:
		return "", access.Denied("You ask in the project %s, so it cannot be for the project %s.", who.Project, project)
	default:
		if err := access.CheckName("project_reference", project, access.MaxID); err != nil {
			return "", err
		}
	}
	created, number := time.Now().UTC(), access.NewComputerID()
	err = m.ledger.Do(ctx, func(b ledger.View) error {
		name := ledger.Key("computer", who.User, project, title)
		known, err := b.ComputerNamed(name)
		if err != nil {
			return err
		}
		if known != nil {
			guid = known.GUID
			return nil
		}
		c := &record.Computer{GUID: number, Title: title, Owner: who.User, Project: project, Created: created}
		guid = c.GUID
		return b.Save(ledger.ComputerEntry(c))
	})
	return guid, err
}

// TreeAddresses are the addresses of all partitions that a tree has, of which the instance in a
// partition is one.
func (m *computers) TreeAddresses(ctx context.Context, who access.Who, computer, partition string) (all []proto.Address, err error) {
	if err := m.ledger.Refresh(ctx); err != nil {
		return nil, err
	}
	err = m.ledger.Read(func(b ledger.View) error {
		n, err := b.At(computer, partition)
		if err != nil {
			return err
		}
		if n == nil {
			return cmp.Or(who.Speaks(computer), partitionUnknown(computer, partition))
		}
		if err := who.Holds(n); err != nil {
			return err
		}
		tree, err := b.Instances(n.Root, "", "")
		if err != nil {
			return err
		}
		for _, other := range tree {
			c, err := b.Computer(other.Computer)
			if err != nil {
				return err
			}
			if c == nil { // it has no place yet
				continue
			}
			some, full := addresses(c, other.Partition)
			all = append(all, some...)
			for _, a := range full {
				all = append(all, proto.Address{Interface: a.Interface, IP: a.IP})
			}
		}
		return nil
	})
	return all, err
}
