package master

import (
	"context"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
)

// Known is the instance of a GUID: its ID, its place as nodes know it, or what the reference makes
// of its title, its root's and whether it is shared.
func Known(who access.Who, guid string) target {
	return func(b ledger.View) (*record.Instance, error) {
		n, err := lookup(b, who, guid)
		if err != nil {
			return nil, err
		}
		if n == nil {
			return nil, access.Refuse(compute.ErrNotFound, "No software instance %.*s found.", maxGUID, guid)
		}
		return n, who.Holds(n)
	}
}

// reporterOf is Known for callers that report the state of an instance: its node, itself, or the
// instance that has it as a shared one.
func reporterOf(who access.Who, guid string) target {
	return func(b ledger.View) (*record.Instance, error) {
		n, err := Known(who, guid)(b)
		if err != nil || who.Instance != "" && (who.Instance == n.ID || who.Instance == n.Host) {
			return n, err
		}
		return n, who.Speaks(n.Computer)
	}
}

// maxGUID is the longest that any of these can be, in bytes; there is no looking for more.
const maxGUID = 2 * 4 * access.MaxTitle

// lookup finds an instance by its ID, COMPUTER-PARTITION, or TITLE___ROOT___SHARED; nil: none.
func lookup(b ledger.View, who access.Who, guid string) (*record.Instance, error) {
	if len(guid) > maxGUID+len("___"+"___0") {
		return nil, nil
	}
	if n, err := b.Instance(guid); err != nil || n != nil {
		return n, err
	}
	for i := range len(guid) {
		if guid[i] == '-' {
			if n, err := b.At(guid[:i], guid[i+1:]); err != nil || n != nil {
				return n, err
			}
		}
	}
	parts := strings.Split(guid, "___")
	if len(parts) != 3 || parts[2] != "0" && parts[2] != "1" {
		return nil, nil
	}
	shared := parts[2] == "1"
	if parts[1] == "" {
		return b.Named(ledger.RootName(who.User, who.Project, parts[0], shared))
	}
	root, err := b.Named(ledger.RootName(who.User, who.Project, parts[1], false))
	if err != nil || root == nil {
		return nil, err
	}
	return b.Named(ledger.ChildName(root.ID, parts[0], shared))
}

// A ListedInstance is an instance with its context.
type ListedInstance struct {
	Answer
	RootTitle string
	Shown     string // the state that its node is told
}

// listed returns n with the title of its root and the state that its node sees.
func listed(b ledger.View, n *record.Instance) (*ListedInstance, error) {
	a, err := AnswerOf(b, n)
	if err != nil {
		return nil, err
	}
	out := &ListedInstance{Answer: *a, RootTitle: n.Title}
	root, err := b.Instance(n.Root)
	if err != nil {
		return nil, err
	}
	if root != nil {
		out.RootTitle = root.Title
	}
	out.Shown, err = stateForNode(b, n)
	return out, err
}

// Find is the instance of a GUID: its ID, or its place as nodes know it.
func (m *instances) Find(ctx context.Context, who access.Who, guid string) (*ListedInstance, error) {
	return m.find(ctx, Known(who, guid))
}

// FindAt is the instance in a partition.
func (m *instances) FindAt(ctx context.Context, who access.Who, computer, partition string) (*ListedInstance, error) {
	return m.find(ctx, func(b ledger.View) (*record.Instance, error) {
		n, err := b.At(computer, partition)
		if err != nil {
			return nil, err
		}
		if n == nil {
			return nil, access.Refuse(compute.ErrNotFound, "No instance on partition %s found.", partition)
		}
		return n, who.Holds(n)
	})
}

// FindTree is the caller's root of a title. If a shared root has the same title, it is the one that
// is not shared.
func (m *instances) FindTree(ctx context.Context, who access.Who, title string) (*ListedInstance, error) {
	return m.find(ctx, func(b ledger.View) (*record.Instance, error) {
		none := &access.Refusal{Kind: compute.ErrNotFound, Text: "No instance tree " + title + " found."}
		for _, shared := range []bool{false, true} {
			n, err := b.Named(ledger.RootName(who.User, who.Project, title, shared))
			if err != nil || n != nil && isListed(n) {
				return n, err
			}
			if n != nil && none.Detail == "" {
				none.Detail = "there is no place for it: " + n.Reason
			}
		}
		return nil, none
	})
}

// isListed says whether an instance is listed: it has a place, or it is shared and its host went.
func isListed(n *record.Instance) bool { return ledger.Placed(n) || n.Shared && n.Stamp != 0 }

func (m *instances) find(ctx context.Context, of target) (out *ListedInstance, err error) {
	if err := m.ledger.Refresh(ctx); err != nil {
		return nil, err
	}
	err = m.ledger.Read(func(b ledger.View) error {
		n, err := of(b)
		if err != nil {
			return err
		}
		out, err = listed(b, n)
		return err
	})
	return out, err
}

// Trees are the caller's roots. First come those with partitions, in the order of their partitions,
// then shared ones, also those whose host went. If waiting is set, those without a place follow.
func (m *instances) Trees(ctx context.Context, who access.Who, waiting bool) (all []*ListedInstance, err error) {
	return m.list(ctx, func(mem *ledger.Memory) (roots []*record.Instance, err error) {
		var shared, without []*record.Instance
		for _, guid := range mem.GUIDs() {
			c := mem.Computers[guid].Record
			for i := range c.Partitions {
				if n, _ := mem.At(guid, c.Partitions[i].ID); n != nil && n.Root == n.ID && who.Holds(n) == nil {
					roots = append(roots, n)
				}
			}
		}
		for _, n := range mem.ByID {
			switch {
			case n.Root != n.ID || n.Partition != "" || who.Holds(n) != nil:
			case isListed(n):
				shared = append(shared, n)
			case waiting:
				without = append(without, n)
			}
		}
		return append(append(roots, ledger.SortByAge(shared)...), ledger.SortByAge(without)...), nil
	})
}

// Titled are the caller's roots of a title: at most one that is not shared, which comes first, and
// one shared.
func (m *instances) Titled(ctx context.Context, who access.Who, title string) ([]*ListedInstance, error) {
	return m.list(ctx, func(mem *ledger.Memory) (all []*record.Instance, err error) {
		for _, shared := range []bool{false, true} {
			n, err := mem.Named(ledger.RootName(who.User, who.Project, title, shared))
			if err != nil {
				return nil, err
			}
			if n != nil && who.Holds(n) == nil {
				all = append(all, n)
			}
		}
		return all, nil
	})
}

// HasRoot says whether a caller has a root of a title that is not shared, as far as the memory
// knows.
func (m *instances) HasRoot(who access.Who, title string) (has bool) {
	_ = m.ledger.Read(func(b ledger.View) error { // the memory's look-ups do not fail
		n, err := b.Named(ledger.RootName(who.User, who.Project, title, false))
		has = n != nil
		return err
	})
	return has
}

// Members are all instances of the tree of an instance, the oldest first.
func (m *instances) Members(ctx context.Context, who access.Who, guid string) ([]*ListedInstance, error) {
	return m.list(ctx, func(mem *ledger.Memory) ([]*record.Instance, error) {
		n, err := Known(who, guid)(mem)
		if err != nil {
			return nil, err
		}
		return mem.Instances(n.Root, "", "")
	})
}

// InstancesOn are the instances in the partitions of a computer, in the order of these.
func (m *instances) InstancesOn(ctx context.Context, who access.Who, computer string) ([]*ListedInstance, error) {
	return m.list(ctx, func(mem *ledger.Memory) (all []*record.Instance, err error) {
		c, err := mem.Computer(computer)
		if err != nil {
			return nil, err
		}
		if err := who.Owns(computer, c); err != nil {
			return nil, err
		}
		if c == nil {
			return nil, access.UnknownComputer(computer)
		}
		for i := range c.Partitions {
			if n, _ := mem.At(computer, c.Partitions[i].ID); n != nil {
				all = append(all, n)
			}
		}
		return all, nil
	})
}

// SharedOf are the shared instances that an instance has, the oldest first.
func (m *instances) SharedOf(ctx context.Context, who access.Who, guid string) ([]*ListedInstance, error) {
	return m.list(ctx, func(mem *ledger.Memory) ([]*record.Instance, error) {
		n, err := Known(who, guid)(mem)
		if err != nil {
			return nil, err
		}
		return mem.Instances("", n.ID, "")
	})
}

func (m *instances) list(ctx context.Context, which func(mem *ledger.Memory) ([]*record.Instance, error)) ([]*ListedInstance, error) {
	if err := m.ledger.Refresh(ctx); err != nil {
		return nil, err
	}
	var all []*ListedInstance
	err := m.ledger.Read(func(b ledger.View) error {
		some, err := which(b.(*ledger.Memory))
		if err != nil {
			return err
		}
		for _, n := range some {
			one, err := listed(b, n)
			if err != nil {
				return err
			}
			all = append(all, one)
		}
		return nil
	})
	return all, err
}

// All are the caller's computers, in the order of their names. They must not be changed.
func (m *computers) All(ctx context.Context, who access.Who) ([]*record.Computer, error) {
	if err := m.ledger.Refresh(ctx); err != nil {
		return nil, err
	}
	var all []*record.Computer
	err := m.ledger.Read(func(b ledger.View) error {
		mem := b.(*ledger.Memory)
		for _, guid := range mem.GUIDs() {
			if c := mem.Computers[guid].Record; who.Owns(guid, c) == nil {
				all = append(all, c)
			}
		}
		return nil
	})
	return all, err
}

// The operations on the instance of a GUID, as those on the instance in a partition.

// SetConnectionOf is SetConnection.
func (m *instances) SetConnectionOf(ctx context.Context, who access.Who, guid string, connection proto.Dictionary) error {
	text, err := proto.FormatParameters(connection)
	if err != nil {
		return access.Malformed(err)
	}
	return m.connect(ctx, reporterOf(who, guid), text)
}

// RenameOf is Rename.
func (m *instances) RenameOf(ctx context.Context, who access.Who, guid, title string) error {
	return m.retitle(ctx, Known(who, guid), title)
}

// DestroyedOf is InstanceDestroyed.
func (m *instances) DestroyedOf(ctx context.Context, who access.Who, guid string) (children []string, err error) {
	return m.destroyed(ctx, who, reporterOf(who, guid))
}

// ReportedOf is InstanceReported.
func (m *statuses) ReportedOf(ctx context.Context, who access.Who, guid, state string) error {
	return m.noteInstance(ctx, reporterOf(who, guid), said(state))
}

// ErrorOf is InstanceError.
func (m *statuses) ErrorOf(ctx context.Context, who access.Who, guid, message string) error {
	return m.noteInstance(ctx, reporterOf(who, guid), failed(message))
}

// BangOf has an instance processed again, and with a root all of its tree.
func (m *instances) BangOf(ctx context.Context, who access.Who, guid string) error {
	return m.ledger.Do(ctx, func(b ledger.View) error {
		n, err := Known(who, guid)(b)
		if err != nil {
			return err
		}
		if n.Root == n.ID {
			return m.trees.bang(b, n)
		}
		return m.trees.touch(b, n)
	})
}
