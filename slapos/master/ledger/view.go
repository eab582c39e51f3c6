package ledger

import (
	"cmp"
	"errors"
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/slap"
)

// A View is what an operation reads and writes: the memory, in which nothing can be written, or a
// transaction. Records that are not there are nil. They belong to the view: who changes one saves a
// copy.
type View interface {
	Computers
	Instances
	Holders
	// Forward says whether a title was forwarded to a master.
	Forward(title, master string) (bool, error)
	// Save adds an entry, or changes it; without data it is gone.
	Save(e slap.Entry) error
}

// Computers are computers, and what is wanted on them.
type Computers interface {
	Computer(guid string) (*slap.ComputerRecord, error)
	ComputerNamed(name string) (*slap.ComputerRecord, error)
	Supply(computer, url string) (*slap.SupplyRecord, error)
}

// Instances are instances, by what they are found by.
type Instances interface {
	Instance(id string) (*slap.InstanceRecord, error)
	Named(name string) (*slap.InstanceRecord, error)
	At(computer, partition string) (*slap.InstanceRecord, error)
	// Instances are those of a tree, those that a host has, or those of a computer: the first that
	// is not "". The oldest come first.
	Instances(tree, host, computer string) ([]*slap.InstanceRecord, error)
}

// Holders are those who hold certificates and tokens.
type Holders interface {
	// Certificates are those that somebody holds.
	Certificates(holder string) ([]*slap.CertificateRecord, error)
	// Token is what a token is good for, by its hash.
	Token(hash string) (*slap.TokenRecord, error)
	// TokensOf are those that are for somebody, the one that ends first first.
	TokensOf(user string) ([]*slap.TokenRecord, error)
}

// ErrWrites ends an operation on the memory that has something to write.
var ErrWrites = errors.New("there is something to write")

// TxView is a book that is a transaction.
type TxView struct {
	Tx       Tx
	known    *remembered // what need not be decoded again
	revision int64
	wrote    bool
	// what has a partition on computers of which that was asked, by ID
	placed map[string]map[string]*slap.InstanceRecord
}

// Entry is an entry, and whether there is one.
func (p *TxView) Entry(kind slap.EntryKind, key string) (slap.Entry, bool, error) {
	e, err := p.Tx.SlapEntry(kind, key)
	if errors.Is(err, compute.ErrNotFound) {
		return e, false, nil
	}
	return e, err == nil, err
}

func (p *TxView) Computer(guid string) (*slap.ComputerRecord, error) {
	e, ok, err := p.Entry(slap.KindComputer, guid)
	if !ok {
		return nil, err
	}
	return p.computerOf(e)
}

// computerOf is the computer of an entry. Each look for a place asks for some, of hundreds of
// slots: one that the memory has of the same revision is that.
func (p *TxView) computerOf(e slap.Entry) (*slap.ComputerRecord, error) {
	if c := p.known.computer(e.Key); c != nil && c.Revision == e.Revision {
		return c, nil
	}
	return computerOf(e)
}

func (p *TxView) ComputerNamed(name string) (*slap.ComputerRecord, error) {
	all, err := p.Tx.SlapEntries(slap.EntryQuery{Kind: slap.KindComputer, Name: name})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return p.computerOf(all[0])
}

func (p *TxView) Supply(computer, url string) (*slap.SupplyRecord, error) {
	e, ok, err := p.Entry(slap.KindSupply, Key(computer, url))
	if !ok {
		return nil, err
	}
	return SupplyOf(e)
}

func (p *TxView) Forward(title, master string) (bool, error) {
	_, ok, err := p.Entry(slap.KindForward, Key(title, master))
	return ok, err
}

func (p *TxView) Instance(id string) (*slap.InstanceRecord, error) {
	e, ok, err := p.Entry(slap.KindInstance, id)
	if !ok {
		return nil, err
	}
	return instanceOf(e)
}

// Query are the instances that are asked for, the oldest first.
func (p *TxView) Query(q slap.EntryQuery) ([]*slap.InstanceRecord, error) {
	q.Kind = slap.KindInstance
	entries, err := p.Tx.SlapEntries(q)
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

// InOrder sorts, the oldest first.
func InOrder(all []*slap.InstanceRecord) []*slap.InstanceRecord {
	slices.SortFunc(all, older)
	return all
}

func older(a, b *slap.InstanceRecord) int {
	return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
}

func (p *TxView) one(q slap.EntryQuery) (*slap.InstanceRecord, error) {
	all, err := p.Query(q)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[0], nil
}

func (p *TxView) Named(name string) (*slap.InstanceRecord, error) {
	return p.one(slap.EntryQuery{Name: name})
}

func (p *TxView) At(computer, partition string) (*slap.InstanceRecord, error) {
	return p.one(slap.EntryQuery{Place: placeOf(computer, partition)})
}

func (p *TxView) Instances(tree, host, computer string) ([]*slap.InstanceRecord, error) {
	return p.Query(slap.EntryQuery{Tree: tree, Host: host, Computer: computer})
}

// PlacedOn is what has a partition on a computer, by ID. A transaction reads it once, however many
// shared instances look for a host there.
func PlacedOn(b View, guid string) (map[string]*slap.InstanceRecord, error) {
	p, writing := b.(*TxView)
	if writing && p.placed[guid] != nil {
		return p.placed[guid], nil
	}
	some, err := b.Instances("", "", guid)
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
func (p *TxView) moved(e slap.Entry) error {
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

func (p *TxView) Save(e slap.Entry) (err error) {
	if e.Kind == slap.KindStatus {
		return p.Tx.SaveSlap(e)
	}
	if err := p.advance(); err != nil {
		return err
	}
	e.Revision, p.wrote = p.revision, true
	return cmp.Or(p.Tx.SaveSlap(e), p.moved(e))
}

// advance begins the transaction's revision, unless it has begun. Others that want to write wait
// from then on.
func (p *TxView) advance() (err error) {
	if p.revision == 0 {
		p.revision, err = p.Tx.SlapAdvance()
	}
	return err
}

// Gone is an entry that is no more.
func Gone(kind slap.EntryKind, key string) slap.Entry { return slap.Entry{Kind: kind, Key: key} }

// SaveInstance saves an instance.
func SaveInstance(b View, n *slap.InstanceRecord) error { return b.Save(entryOf(n)) }
