package master

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/slap"
)

// A book is what an operation reads and writes: the memory, in which nothing can be written, or a
// transaction. Records that are not there are nil. They belong to the book: who changes one saves a
// copy.
type book interface {
	computer(guid string) (*slap.ComputerRecord, error)
	computerNamed(name string) (*slap.ComputerRecord, error)
	supply(computer, url string) (*slap.SupplyRecord, error)
	forward(title, master string) (bool, error)
	instance(id string) (*slap.InstanceRecord, error)
	named(name string) (*slap.InstanceRecord, error)
	at(computer, partition string) (*slap.InstanceRecord, error)
	// instances are those of a tree, those that a host has, or those of a computer: the first that
	// is not "". The oldest come first.
	instances(tree, host, computer string) ([]*slap.InstanceRecord, error)
	// certificates are those that somebody holds.
	certificates(holder string) ([]*slap.CertificateRecord, error)
	// token is what a token is good for, by its hash.
	token(hash string) (*slap.TokenRecord, error)
	// tokensOf are those that are for somebody, the one that ends first first.
	tokensOf(user string) ([]*slap.TokenRecord, error)
	save(e slap.Entry) error
}

// errWrites ends an operation on the memory that has something to write.
var errWrites = errors.New("there is something to write")

// do runs an operation: on the memory first, and where it writes, in a transaction. So it may run
// several times, and sets what it answers anew each time.
func (m *ledger) do(ctx context.Context, fn func(b book) error) error {
	_, err := m.doing(ctx, fn)
	return err
}

// doing is do, and tells whether it took a transaction: the memory does not have that then.
func (m *ledger) doing(ctx context.Context, fn func(b book) error) (wrote bool, err error) {
	if err := m.fresh(ctx); err != nil {
		return false, err
	}
	if err := m.read(fn); !errors.Is(err, errWrites) {
		return false, err
	}
	var p *pages
	if err := m.store.Update(ctx, func(tx compute.Tx) error { p = m.pages(tx); return fn(p) }); err != nil {
		return true, err
	}
	if p.wrote {
		changed(ctx)
	}
	return true, nil
}

// pages is a book that is a transaction.
type pages struct {
	tx       Tx
	known    *remembered // what need not be decoded again
	revision int64
	wrote    bool
	// what has a partition on computers of which that was asked, by ID
	placed map[string]map[string]*slap.InstanceRecord
}

func (m *ledger) pages(tx compute.Tx) *pages { return &pages{tx: tx.(Tx), known: &m.known} }

func (p *pages) entry(kind slap.EntryKind, key string) (slap.Entry, bool, error) {
	e, err := p.tx.SlapEntry(kind, key)
	if errors.Is(err, compute.ErrNotFound) {
		return e, false, nil
	}
	return e, err == nil, err
}

func (p *pages) computer(guid string) (*slap.ComputerRecord, error) {
	e, ok, err := p.entry(slap.KindComputer, guid)
	if !ok {
		return nil, err
	}
	return p.computerOf(e)
}

// computerOf is the computer of an entry. Each look for a place asks for some, of hundreds of
// slots: one that the memory has of the same revision is that.
func (p *pages) computerOf(e slap.Entry) (*slap.ComputerRecord, error) {
	if c := p.known.computer(e.Key); c != nil && c.Revision == e.Revision {
		return c, nil
	}
	return computerOf(e)
}

func (p *pages) computerNamed(name string) (*slap.ComputerRecord, error) {
	all, err := p.tx.SlapEntries(slap.EntryQuery{Kind: slap.KindComputer, Name: name})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return p.computerOf(all[0])
}

func (p *pages) supply(computer, url string) (*slap.SupplyRecord, error) {
	e, ok, err := p.entry(slap.KindSupply, key(computer, url))
	if !ok {
		return nil, err
	}
	return supplyOf(e)
}

func (p *pages) forward(title, master string) (bool, error) {
	_, ok, err := p.entry(slap.KindForward, key(title, master))
	return ok, err
}

func (p *pages) instance(id string) (*slap.InstanceRecord, error) {
	e, ok, err := p.entry(slap.KindInstance, id)
	if !ok {
		return nil, err
	}
	return instanceOf(e)
}

func (p *pages) query(q slap.EntryQuery) ([]*slap.InstanceRecord, error) {
	q.Kind = slap.KindInstance
	entries, err := p.tx.SlapEntries(q)
	if err != nil {
		return nil, err
	}
	all := make([]*slap.InstanceRecord, len(entries))
	for i, e := range entries {
		if all[i], err = instanceOf(e); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, older)
	return all, nil
}

// inOrder sorts, the oldest first.
func inOrder(all []*slap.InstanceRecord) []*slap.InstanceRecord {
	slices.SortFunc(all, older)
	return all
}

func older(a, b *slap.InstanceRecord) int {
	return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
}

func (p *pages) one(q slap.EntryQuery) (*slap.InstanceRecord, error) {
	all, err := p.query(q)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[0], nil
}

func (p *pages) named(name string) (*slap.InstanceRecord, error) {
	return p.one(slap.EntryQuery{Name: name})
}

func (p *pages) at(computer, partition string) (*slap.InstanceRecord, error) {
	return p.one(slap.EntryQuery{Place: placeOf(computer, partition)})
}

func (p *pages) instances(tree, host, computer string) ([]*slap.InstanceRecord, error) {
	return p.query(slap.EntryQuery{Tree: tree, Host: host, Computer: computer})
}

// placedOn is what has a partition on a computer, by ID. A transaction reads it once, however many
// shared instances look for a host there.
func placedOn(b book, guid string) (map[string]*slap.InstanceRecord, error) {
	p, writing := b.(*pages)
	if writing && p.placed[guid] != nil {
		return p.placed[guid], nil
	}
	some, err := b.instances("", "", guid)
	if err != nil {
		return nil, err
	}
	all := map[string]*slap.InstanceRecord{}
	for _, n := range some {
		if n.Partition != "" {
			all[n.ID] = n
		}
	}
	if writing {
		if p.placed == nil {
			p.placed = map[string]map[string]*slap.InstanceRecord{}
		}
		p.placed[guid] = all
	}
	return all, nil
}

// moved has placedOn know of an instance that is saved.
func (p *pages) moved(e slap.Entry) error {
	if e.Kind != slap.KindInstance || len(p.placed) == 0 {
		return nil
	}
	for _, all := range p.placed {
		delete(all, e.Key)
	}
	if e.Data == nil || e.Place == "" {
		return nil
	}
	n, err := instanceOf(e)
	if err == nil && p.placed[n.Computer] != nil {
		p.placed[n.Computer][n.ID] = n
	}
	return err
}

func (p *pages) save(e slap.Entry) (err error) {
	if e.Kind == slap.KindStatus {
		return p.tx.SaveSlap(e)
	}
	if err := p.advance(); err != nil {
		return err
	}
	e.Revision, p.wrote = p.revision, true
	return firstOf(p.tx.SaveSlap(e), p.moved(e))
}

// advance begins the transaction's revision, unless it has begun. Others that want to write wait
// from then on.
func (p *pages) advance() (err error) {
	if p.revision == 0 {
		p.revision, err = p.tx.SlapAdvance()
	}
	return err
}

// gone is an entry that is no more.
func gone(kind slap.EntryKind, key string) slap.Entry { return slap.Entry{Kind: kind, Key: key} }

func saveInstance(b book, n *slap.InstanceRecord) error { return b.save(entryOf(n)) }
