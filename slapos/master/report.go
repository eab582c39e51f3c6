package master

import (
	"cmp"
	"context"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
)

// partitionUnknown is the error for an empty partition.
func partitionUnknown(computer, partition string) error {
	return access.Refuse(compute.ErrNotFound, "Unknown partition '%s' on '%s'", partition, computer)
}

// A target finds an instance for a caller, and refuses callers without a right to it.
type target func(b ledger.View) (*record.Instance, error)

// inPartition is the instance in a partition, or a shared one that it has and calls so.
func inPartition(who access.Who, computer, partition, reference string) target {
	return func(b ledger.View) (*record.Instance, error) {
		n, err := instanceIn(b, who, computer, partition)
		if err != nil || reference == "" {
			return n, err
		}
		return hostedBy(b, n, reference)
	}
}

// instanceIn finds the instance in a partition, for its node or itself.
func instanceIn(b ledger.View, who access.Who, computer, partition string) (*record.Instance, error) {
	n, err := b.At(computer, partition)
	if err != nil {
		return nil, err
	}
	if who.Instance == "" || n == nil || n.ID != who.Instance {
		if err := who.Speaks(computer); err != nil {
			return nil, err
		}
	}
	if n == nil {
		return nil, partitionUnknown(computer, partition)
	}
	return n, nil
}

// InstanceDestroyed is a node's report that nothing of an instance is left there: its partition
// becomes free. A root waits for the rest of its tree, which becomes destroyed; children are the
// titles of these, and nothing else changes. An instance itself may report this only if it is to be
// destroyed: it cannot know, and the place of a running program must not be given away.
func (m *instances) InstanceDestroyed(ctx context.Context, who access.Who, computer, partition string) (children []string, err error) {
	return m.destroyed(ctx, who, inPartition(who, computer, partition, ""))
}

// destroyed frees the partition of an instance that its node has destroyed. A root with placed
// children is not freed; destruction is asked of these, and their titles are returned.
func (m *instances) destroyed(ctx context.Context, who access.Who, of target) (children []string, err error) {
	err = m.ledger.Do(ctx, func(b ledger.View) error {
		children = nil
		n, err := of(b)
		if err != nil {
			return err
		}
		if who.Instance != "" && n.State != proto.Destroyed {
			return access.Denied("The instance is not wanted destroyed: an instance cannot say of it that it is.")
		}
		if n.Root == n.ID && !n.Shared {
			placed, err := placedBelow(b, n)
			if err != nil {
				return err
			}
			for _, child := range placed {
				children = append(children, child.Title)
			}
			if len(placed) > 0 {
				return m.trees.destroyBelow(b, n)
			}
		}
		return m.trees.freePartition(b, n)
	})
	return children, err
}

// destroyBelow destroys all below a root, whatever the root's own state.
func (m *trees) destroyBelow(b ledger.View, root *record.Instance) error {
	as := *root
	as.State = proto.Destroyed
	return m.propagateState(b, &as)
}

// freePartition frees the partition of an instance, and forgets it. A root that waited for this
// is told.
func (m *trees) freePartition(b ledger.View, n *record.Instance) error {
	if err := m.dropInstance(b, n); err != nil {
		return err
	}
	if n.Root == n.ID {
		return m.endUnplacedBelow(b, n)
	}
	root, err := b.Instance(n.Root)
	if err != nil || root == nil || root.State != proto.Destroyed {
		return err
	}
	if rest, err := placedBelow(b, root); err != nil || len(rest) > 0 {
		return err
	}
	if root.Partition == "" { // no node is to be told
		return cmp.Or(m.dropInstance(b, root), m.endUnplacedBelow(b, root))
	}
	return m.touch(b, root)
}

// endUnplacedBelow ends what a root has left that has no partition.
func (m *trees) endUnplacedBelow(b ledger.View, root *record.Instance) error {
	tree, err := b.Instances(root.ID, "", "")
	if err != nil {
		return err
	}
	for _, n := range tree {
		if n.ID != root.ID && n.Partition == "" {
			if err := m.dropInstance(b, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// Refused is the answer to a node whose root cannot be destroyed yet.
func Refused(children []string) string {
	return "Not destroying yet because this partition has child partitions: " + strings.Join(children, ", ")
}

// SetConnection publishes connection parameters of an instance, or of a shared one that it has.
func (m *instances) SetConnection(
	ctx context.Context, who access.Who, computer, partition, reference string, connection proto.Dictionary,
) error {
	text, err := proto.FormatParameters(connection)
	if err != nil {
		return access.Malformed(err)
	}
	return m.connect(ctx, inPartition(who, computer, partition, reference), text)
}

// connect sets the connection parameters. Equal ones change nothing.
func (m *instances) connect(ctx context.Context, of target, text string) error {
	return m.ledger.Do(ctx, func(b ledger.View) error {
		n, err := of(b)
		if err != nil || n.Connection == text {
			return err
		}
		copied := *n
		copied.Connection = text
		return cmp.Or(
			checkLength("connection parameters", text), ledger.SaveInstance(b, &copied),
			m.trees.allocation.checkDocument(b, n, &copied),
		)
	})
}

// Bang has all of an instance's tree processed again.
func (m *instances) Bang(ctx context.Context, who access.Who, computer, partition, message string) error {
	err := m.ledger.Do(ctx, func(b ledger.View) error {
		n, err := instanceIn(b, who, computer, partition)
		if err != nil {
			return err
		}
		return m.trees.bang(b, n)
	})
	if err != nil {
		return err
	}
	m.ledger.Log.Info("bang", "computer", computer, "partition", partition, "message", tail(message, maxMessage))
	return nil
}

// bang has every placed instance of the tree processed again by its node.
func (m *trees) bang(b ledger.View, n *record.Instance) error {
	tree, err := b.Instances(n.Root, "", "")
	if err != nil {
		return err
	}
	for _, other := range tree {
		if other.Partition == "" {
			continue
		}
		if err := m.touch(b, other); err != nil {
			return err
		}
	}
	return nil
}

// Rename gives an instance another title, or a shared one that it has.
func (m *instances) Rename(ctx context.Context, who access.Who, computer, partition, reference, title string) error {
	return m.retitle(ctx, inPartition(who, computer, partition, reference), title)
}

func (m *instances) retitle(ctx context.Context, of target, title string) error {
	if err := access.CheckName("the new title", title, access.MaxTitle); err != nil {
		return err
	}
	return m.ledger.Do(ctx, func(b ledger.View) error {
		n, err := of(b)
		if err != nil {
			return err
		}
		return m.trees.rename(b, n, title)
	})
}

// rename gives an instance a free title, and wakes the hosts that are told of it.
func (m *trees) rename(b ledger.View, n *record.Instance, title string) error {
	if n.Title == title {
		return nil
	}
	copied := *n
	copied.Title = title
	if other, err := b.Named(ledger.NameOf(&copied)); err != nil {
		return err
	} else if other != nil {
		return access.Refuse(compute.ErrConflict, "Another instance has the title %s.", title)
	}
	if err := ledger.SaveInstance(b, &copied); err != nil {
		return err
	}
	called := []*record.Instance{n} // those whose names for their hosts have the title in them
	if n.Root == n.ID {
		tree, err := b.Instances(n.ID, "", "")
		if err != nil {
			return err
		}
		called = append(called, tree...)
	}
	if err := m.wakeHosts(b, called); err != nil || len(title) <= len(n.Title) {
		return err
	}
	seen := map[string]bool{"": true}
	for _, other := range called {
		if seen[other.Computer] {
			continue
		}
		seen[other.Computer] = true
		if err := m.allocation.checkDocumentOf(b, other.Computer); err != nil {
			return err
		}
	}
	return nil
}

// wakeHosts has the hosts of shared instances processed again, each once.
func (m *trees) wakeHosts(b ledger.View, of []*record.Instance) error {
	woken := map[string]bool{"": true}
	for _, n := range of {
		if !n.Shared || woken[n.Host] {
			continue
		}
		woken[n.Host] = true
		host, err := b.Instance(n.Host)
		if err == nil && host != nil {
			err = m.touch(b, host)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
