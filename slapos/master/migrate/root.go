package migrate

import (
	"cmp"
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
)

// RootOptions connect [Master.SetRoot] to the file system.
type RootOptions struct {
	// Exists says whether there is a file.
	Exists func(path string) bool
	// Before is called once before anything is changed, where something is to be, with the old
	// directory; its error ends it.
	Before func(ctx context.Context, from string) error
}

// SetRoot sets the directory of releases that are files of this machine. It is an absolute path
// without significant links, such as [filepath.Clean] makes.
//
// If another directory was set before, releases of supplies and instances below that are renamed to
// those of the same names below this one, all of them or none. A release stays if it is still at
// its old place and not at the new one. If one of the directories contains the other nothing is
// moved.
//
// moved maps old URLs to new ones. Instances whose release was renamed are processed again.
func SetRoot(ctx context.Context, m *master.Master, root string, opt RootOptions) (from string, moved map[string]string, err error) {
	if !filepath.IsAbs(root) || filepath.Clean(root) != root {
		return "", nil, access.Invalid("the root of local releases is no absolute path: %.200q", root)
	}
	if err := m.Ledger.Store.View(ctx, func(tx store.Tx) error {
		p := m.Ledger.TxView(tx)
		if from, err = p.Root(); err != nil || from == root || apart(from, root) != nil {
			return err
		}
		moved, err = below(p, from, root, opt.Exists)
		return err
	}); err != nil || from == root {
		return from, nil, err
	}
	if len(moved) > 0 {
		if err := opt.Before(ctx, from); err != nil {
			return from, nil, err
		}
	}
	err = m.Ledger.Store.Update(ctx, func(tx store.Tx) error {
		p := m.Ledger.TxView(tx)
		if now, err := p.Root(); err != nil || now != from {
			return cmp.Or(err, access.Refuse(compute.ErrConflict, "Another master says where local releases are, at the same time."))
		}
		return cmp.Or(move(m, p, moved), p.Save(ledger.RootEntry(root)))
	})
	if err != nil {
		return from, nil, err
	}
	return from, moved, nil
}

// apart says why nothing is moved from one directory to another; nil: it is.
func apart(from, to string) error {
	if from == "" {
		return access.Refuse(compute.ErrNotFound, "There was no root of local releases before.")
	}
	if inside, _ := under(from, to); inside {
		return access.Refuse(compute.ErrConflict, "%s is in %s.", to, from)
	}
	if inside, _ := under(to, from); inside {
		return access.Refuse(compute.ErrConflict, "%s is in %s.", from, to)
	}
	return nil
}

// under says whether a path is below a directory, and how it is called from there.
func under(directory, path string) (bool, string) {
	if !strings.HasSuffix(directory, "/") {
		directory += "/"
	}
	rest, ok := strings.CutPrefix(path, directory)
	return ok && rest != "", rest
}

// below finds the releases that go from a directory to another.
func below(p *ledger.TxView, from, to string, exists func(path string) bool) (map[string]string, error) {
	urls := map[string]bool{}
	supplies, err := p.Tx.SlapEntries(store.SlapQuery{Kind: record.KindSupply})
	if err != nil {
		return nil, err
	}
	for _, e := range supplies {
		_, url := ledger.CutKey(e.Key)
		urls[url] = true
	}
	instances, err := p.Query(store.SlapQuery{})
	if err != nil {
		return nil, err
	}
	for _, n := range instances {
		urls[n.Release] = true
	}
	moved := map[string]string{}
	for url := range urls {
		ok, rest := under(from, url)
		if !ok || !filepath.IsLocal(rest) {
			continue
		}
		there := strings.TrimSuffix(to, "/") + "/" + rest
		if !exists(there) && exists(url) {
			continue
		}
		if err := access.CheckName("the release "+there, there, access.MaxURL); err != nil {
			return nil, err
		}
		moved[url] = there
	}
	return moved, nil
}

// move renames the releases in supplies and instances.
func move(m *master.Master, p *ledger.TxView, moved map[string]string) error {
	if len(moved) == 0 {
		return nil
	}
	supplies, err := p.Tx.SlapEntries(store.SlapQuery{Kind: record.KindSupply})
	if err != nil {
		return err
	}
	for _, e := range supplies {
		s, err := ledger.SupplyOf(e)
		if err != nil {
			return err
		}
		to, goes := moved[s.URL]
		if !goes {
			continue
		}
		status := master.SupplyStatusKey(s.Computer, s.URL)
		if err := cmp.Or(p.Save(ledger.Deletion(record.KindSupply, e.Key)), master.DropStatus(p, status)); err != nil {
			return err
		}
		if there, err := p.Supply(s.Computer, to); err != nil {
			return err
		} else if there != nil && (there.State == proto.Available || s.State == proto.Destroyed) {
			continue // it is wanted so already
		} else if there != nil {
			there.State, s = s.State, there
		}
		s.URL = to
		if err := p.Save(ledger.SupplyEntry(s)); err != nil {
			return err
		}
	}
	instances, err := p.Query(store.SlapQuery{})
	if err != nil {
		return err
	}
	for _, n := range instances {
		to, goes := moved[n.Release]
		if !goes {
			continue
		}
		n.Release, n.Stamp = to, m.Ledger.Stamp(n.Stamp)
		if err := ledger.SaveInstance(p, n); err != nil {
			return err
		}
	}
	m.Ledger.Log.Info("local releases are elsewhere", "releases", len(moved), "first", slices.Sorted(maps.Keys(moved))[0])
	return nil
}
