package master

import (
	"cmp"

	"github.com/hostler-project/hostler/slapos/master/certificate"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
)

// propagateState carries the state of an instance on to its descendants. Stopped and destroyed
// apply at once; otherwise each returns to its own requested state. In a destroyed tree,
// instances without a place and shared ones are removed.
func (m *trees) propagateState(b ledger.View, top *record.Instance) error {
	tree, err := b.Instances(top.Root, "", "")
	if err != nil {
		return err
	}
	children := map[string][]*record.Instance{}
	known := map[string]bool{}
	for _, n := range tree {
		known[n.ID] = true
	}
	for _, n := range tree {
		if n.ID == n.Root {
			continue
		}
		parent := n.Parent
		if !known[parent] {
			parent = n.Root // the one that asked is gone
		}
		children[parent] = append(children[parent], n)
	}
	return m.propagateTo(b, top, children)
}

// propagateTo gives the instances below parent the stricter of their own state and its. Those
// that are destroyed and shared or not placed are dropped.
func (m *trees) propagateTo(b ledger.View, parent *record.Instance, children map[string][]*record.Instance) error {
	for _, n := range children[parent.ID] {
		copied := *n
		copied.State = stricterState(n.Asked, parent.State)
		switch {
		case n.Shared && copied.State == proto.Destroyed, n.Partition == "" && !n.Shared && copied.State == proto.Destroyed:
			if err := m.dropInstance(b, n); err != nil {
				return err
			}
		case !n.Shared && copied.State != n.State:
			copied.Stamp = m.ledger.Stamp(n.Stamp)
			if err := ledger.SaveInstance(b, &copied); err != nil {
				return err
			}
		}
		if err := m.propagateTo(b, &copied, children); err != nil {
			return err
		}
	}
	return nil
}

// dropInstance forgets an instance. A host is told, and the instance's own shared ones find other
// hosts.
func (m *trees) dropInstance(b ledger.View, n *record.Instance) error {
	if err := Forget(b, n); err != nil {
		return err
	}
	if n.Shared {
		host, err := b.Instance(n.Host)
		if err != nil || host == nil {
			return err
		}
		return m.touch(b, host)
	}
	return m.findNewHosts(b, n, nil)
}

// Forget drops the record of an instance, its status, and its certificate.
func Forget(b ledger.View, n *record.Instance) error {
	return cmp.Or(
		b.Save(ledger.Deletion(record.KindInstance, n.ID)), DropStatus(b, InstanceStatusKey(n.ID)),
		certificate.Revoke(b, ledger.HolderOf(record.CertifiedInstance, n.ID)),
	)
}

// placedBelow are the other instances of a root's tree that have partitions.
func placedBelow(b ledger.View, root *record.Instance) ([]*record.Instance, error) {
	tree, err := b.Instances(root.ID, "", "")
	if err != nil {
		return nil, err
	}
	var placed []*record.Instance
	for _, n := range tree {
		if n.ID != root.ID && n.Partition != "" {
			placed = append(placed, n)
		}
	}
	return placed, nil
}

// stateForNode is the state that a node is told: a root that is to be destroyed is stopped as
// long as others of its tree have partitions, so that nothing of it is wiped before them.
func stateForNode(b ledger.View, n *record.Instance) (string, error) {
	if n.State != proto.Destroyed || n.Root != n.ID {
		return n.State, nil
	}
	placed, err := placedBelow(b, n)
	if err == nil && len(placed) > 0 {
		return proto.Stopped, nil
	}
	return n.State, err
}
