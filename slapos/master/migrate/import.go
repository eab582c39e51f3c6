// Package migrate brings data from elsewhere to a SlapOS master: the records of another master, and
// local releases whose directory has moved.
package migrate

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
)

// Records are those of another master, such as slapproxy. They are complete: all that an instance
// names is among them.
type Records struct {
	Computers []record.Computer
	Supplies  []record.Supply
	Instances []record.Instance
	Forwards  []record.Forward
	Root      string // of local releases; "": none is known. It counts where none was said here
}

// ImportOptions say how records are taken.
type ImportOptions struct {
	Replace bool // existing records of the same computers are removed first
	DryRun  bool // all is checked, and nothing changed
}

// Import takes records, all of them or none. If one of their computers has records already, or a
// tree has the same title, that is compute.ErrConflict with the name. A name that no master could
// keep is compute.ErrInvalid.
func Import(ctx context.Context, m *master.Master, in Records, opt ImportOptions) error {
	if err := in.check(); err != nil {
		return err
	}
	dry := access.Refuse(compute.ErrStale, "nothing was changed")
	err := m.Ledger.Store.Update(ctx, func(tx store.Tx) error {
		p := m.Ledger.TxView(tx)
		if err := in.into(p, opt.Replace); err != nil {
			return err
		}
		for _, guid := range in.computers() {
			if err := m.CheckDocument(p, guid); err != nil {
				return err
			}
		}
		if opt.DryRun {
			return dry
		}
		return nil
	})
	if errors.Is(err, dry) {
		return nil
	}
	return err
}

// check looks at the names.
func (in *Records) check() error {
	for _, c := range in.Computers {
		if err := access.CheckName("the computer's name "+c.GUID, c.GUID, access.MaxID); err != nil {
			return err
		}
		for _, p := range c.Partitions {
			if err := access.CheckName("the name of the partition "+p.ID+" of "+c.GUID, p.ID, access.MaxID); err != nil {
				return err
			}
		}
	}
	for _, s := range in.Supplies {
		if err := cmp.Or(
			access.CheckName("the computer's name "+s.Computer, s.Computer, access.MaxID),
			access.CheckName("the release "+s.URL+" on "+s.Computer, s.URL, access.MaxURL),
		); err != nil {
			return err
		}
	}
	for _, n := range in.Instances {
		what := "of the instance " + n.Title + " in " + n.Computer + " " + n.Partition
		if err := cmp.Or(
			access.CheckName("the title "+what, n.Title, access.MaxTitle), access.CheckName("the release "+what, n.Release, access.MaxURL),
			access.CheckName("the type "+what, n.Type, access.MaxTitle),
		); err != nil {
			return err
		}
	}
	if in.Root != "" && (!filepath.IsAbs(in.Root) || filepath.Clean(in.Root) != in.Root) {
		return access.Invalid("the root of local releases is no absolute path: %.200q", in.Root)
	}
	for _, f := range in.Forwards {
		if err := cmp.Or(
			access.CheckName("the title of a forwarded request", f.Title, access.MaxURL),
			access.CheckName("the URL of a master", f.Master, access.MaxURL),
		); err != nil {
			return err
		}
	}
	return nil
}

// computers are all that the records have something of.
func (in *Records) computers() []string {
	var all []string
	for _, c := range in.Computers {
		all = append(all, c.GUID)
	}
	for _, s := range in.Supplies {
		all = append(all, s.Computer)
	}
	for _, n := range in.Instances {
		all = append(all, n.Computer)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// into saves the records in a transaction. If a computer of theirs is known, it is replaced with
// replace, and compute.ErrConflict without.
func (in *Records) into(p *ledger.TxView, replace bool) error {
	computers := in.computers()
	known := map[string]*record.Computer{}
	for _, guid := range computers {
		c, some, err := clearComputer(p, guid, computers, replace)
		if err != nil {
			return err
		}
		if some && !replace {
			return access.Refuse(compute.ErrConflict, "The computer %s is known here already.", guid)
		}
		known[guid] = c
	}
	for i := range in.Computers {
		c := in.Computers[i]
		if was := known[c.GUID]; was != nil {
			c.Title, c.Project, c.Network, c.Created = was.Title, was.Project, was.Network, was.Created
			if c.Owner == "" {
				c.Owner = was.Owner
			}
		}
		if err := p.Save(ledger.ComputerEntry(&c)); err != nil {
			return err
		}
	}
	for i := range in.Supplies {
		if err := p.Save(ledger.SupplyEntry(&in.Supplies[i])); err != nil {
			return err
		}
	}
	for i := range in.Instances {
		n := &in.Instances[i]
		if other, err := p.Named(ledger.NameOf(n)); err != nil {
			return err
		} else if other != nil {
			return access.Refuse(compute.ErrConflict, "There is an instance with the title %s already, on %s.", n.Title, other.Computer)
		}
		if n.Partition != "" {
			if other, err := p.At(n.Computer, n.Partition); err != nil {
				return err
			} else if other != nil {
				return access.Refuse(
					compute.ErrConflict, "The instances %s and %s are both in %s of %s.", other.Title, n.Title,
					n.Partition, n.Computer,
				)
			}
		}
		if err := ledger.SaveInstance(p, n); err != nil {
			return err
		}
	}
	for i := range in.Forwards {
		f := &in.Forwards[i]
		if err := p.Save(store.SlapEntry{Kind: record.KindForward, Key: ledger.Key(f.Title, f.Master), Data: ledger.Pack(f)}); err != nil {
			return err
		}
	}
	if was, err := p.Root(); err != nil || was != "" || in.Root == "" {
		return err
	}
	return p.Save(ledger.RootEntry(in.Root))
}

// clearComputer finds the records of a computer, and removes them with going, except the computer's
// own. It is compute.ErrConflict if a tree is on a computer that is not among computers.
func clearComputer(p *ledger.TxView, guid string, computers []string, going bool) (c *record.Computer, some bool, err error) {
	if c, err = p.Computer(guid); err != nil {
		return nil, false, err
	}
	supplies, err := p.Tx.SlapEntries(store.SlapQuery{Kind: record.KindSupply, Computer: guid})
	if err != nil {
		return nil, false, err
	}
	instances, err := p.Instances("", "", guid)
	if err != nil {
		return nil, false, err
	}
	some = c != nil || len(supplies) > 0 || len(instances) > 0
	if !going {
		return c, some, nil
	}
	for _, e := range supplies {
		computer, url := ledger.CutKey(e.Key)
		status := master.SupplyStatusKey(computer, url)
		if err := cmp.Or(p.Save(ledger.Deletion(record.KindSupply, e.Key)), master.DropStatus(p, status)); err != nil {
			return nil, false, err
		}
	}
	for _, n := range instances {
		tree, err := p.Instances(n.Root, "", "")
		if err != nil {
			return nil, false, err
		}
		for _, other := range tree {
			if other.Computer != "" && !slices.Contains(computers, other.Computer) {
				return nil, false, access.Refuse(
					compute.ErrConflict, "The tree of %s is on %s too, of which nothing is to be replaced.", n.Title,
					other.Computer,
				)
			}
		}
		for _, other := range append(tree, n) { // with those that wait for a place
			if err := master.Forget(p, other); err != nil {
				return nil, false, err
			}
		}
	}
	return c, some, nil
}
