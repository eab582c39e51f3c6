package ledger

import (
	"cmp"
	"errors"
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/proto"
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
	Save(e proto.Entry) error
}

// Computers are computers, and what is wanted on them.
type Computers interface {
	Computer(guid string) (*proto.ComputerRecord, error)
	ComputerNamed(name string) (*proto.ComputerRecord, error)
	Supply(computer, url string) (*proto.SupplyRecord, error)
}

// Instances are instances, by what they are found by.
type Instances interface {
	Instance(id string) (*proto.InstanceRecord, error)
	Named(name string) (*proto.InstanceRecord, error)
	At(computer, partition string) (*proto.InstanceRecord, error)
	// Instances are those of a tree, those that a host has, or those of a computer: the first that
	// is not "". The oldest come first.
	Instances(tree, host, computer string) ([]*proto.InstanceRecord, error)
}

// Holders are those who hold certificates and tokens.
type Holders interface {
	// Certificates are those that somebody holds.
	Certificates(holder string) ([]*proto.CertificateRecord, error)
	// Token is what a token is good for, by its hash.
	Token(hash string) (*proto.TokenRecord, error)
	// TokensOf are those that are for somebody, the one that ends first first.
	TokensOf(user string) ([]*proto.TokenRecord, error)
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
	placed map[string]map[string]*proto.InstanceRecord
}

// Entry is an entry, and whether there is one.
func (p *TxView) Entry(kind proto.EntryKind, key string) (proto.Entry, bool, error) {
	e, err := p.Tx.SlapEntry(kind, key)
	if errors.Is(err, compute.ErrNotFound) {
		return e, false, nil
	}
	return e, err == nil, err
}

func (p *TxView) Computer(guid string) (*proto.ComputerRecord, error) {
	e, ok, err := p.Entry(proto.KindComputer, guid)
	if !ok {
		return nil, err
	}
	return p.computerOf(e)
}

// computerOf is the computer of an entry. Each look for a place asks for some, of hundreds of
// slots: one that the memory has of the same revision is that.
func (p *TxView) computerOf(e proto.Entry) (*proto.ComputerRecord, error) {
	if c := p.known.computer(e.Key); c != nil && c.Revision == e.Revision {
		return c, nil
	}
	return computerOf(e)
}

func (p *TxView) ComputerNamed(name string) (*proto.ComputerRecord, error) {
	all, err := p.Tx.SlapEntries(proto.EntryQuery{Kind: proto.KindComputer, Name: name})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return p.computerOf(all[0])
}

func (p *TxView) Supply(computer, url string) (*proto.SupplyRecord, error) {
	e, ok, err := p.Entry(proto.KindSupply, Key(computer, url))
	if !ok {
		return nil, err
	}
	return SupplyOf(e)
}

func (p *TxView) Forward(title, master string) (bool, error) {
	_, ok, err := p.Entry(proto.KindForward, Key(title, master))
	return ok, err
}

func (p *TxView) Instance(id string) (*proto.InstanceRecord, error) {
	e, ok, err := p.Entry(proto.KindInstance, id)
	if !ok {
		return nil, err
	}
	return instanceOf(e)
}

// Query are the instances that are asked for, the oldest first.
func (p *TxView) Query(q proto.EntryQuery) ([]*proto.InstanceRecord, error) {
	q.Kind = proto.KindInstance
	entries, err := p.Tx.SlapEntries(q)
	if err != nil {
		return nil, err
	}
	all := make([]*proto.InstanceRecord, len(entries))
	for i, e := range entries {
		if all[i], err = instanceOf(e); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, older)
	return all, nil
}

// InOrder sorts, the oldest first.
func InOrder(all []*proto.InstanceRecord) []*proto.InstanceRecord {
	slices.SortFunc(all, older)
	return all
}

func older(a, b *proto.InstanceRecord) int {
	return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
}

func (p *TxView) one(q proto.EntryQuery) (*proto.InstanceRecord, error) {
	all, err := p.Query(q)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[0], nil
}

func (p *TxView) Named(name string) (*proto.InstanceRecord, error) {
	return p.one(proto.EntryQuery{Name: name})
}

func (p *TxView) At(computer, partition string) (*proto.InstanceRecord, error) {
	return p.one(proto.EntryQuery{Place: placeOf(computer, partition)})
}

func (p *TxView) Instances(tree, host, computer string) ([]*proto.InstanceRecord, error) {
	return p.Query(proto.EntryQuery{Tree: tree, Host: host, Computer: computer})
}

// PlacedOn is what has a partition on a computer, by ID. A transaction reads it once, however many
// shared instances look for a host there.
func PlacedOn(b View, guid string) (map[string]*proto.InstanceRecord, error) {
	p, writing := b.(*TxView)
	if writing && p.placed[guid] != nil {
		return p.placed[guid], nil
	}
	some, err := b.Instances("", "", guid)
	if err != nil {
		return nil, err
	}
	all := map[string]*proto.InstanceRecord{}
	for _, n := range some {
		if n.Partition != "" {
			all[n.ID] = n
		}
	}
	if writing {
		if p.placed == nil {
			p.placed = map[string]map[string]*proto.InstanceRecord{}
		}
		p.placed[guid] = all
	}
	return all, nil
}

// moved has placedOn know of an instance that is saved.
func (p *TxView) moved(e proto.Entry) error {
	if e.Kind != proto.KindInstance || len(p.placed) == 0 {
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

func (p *TxView) Save(e proto.Entry) (err error) {
	if e.Kind == proto.KindStatus {
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
func Gone(kind proto.EntryKind, key string) proto.Entry { return proto.Entry{Kind: kind, Key: key} }

// SaveInstance saves an instance.
func SaveInstance(b View, n *proto.InstanceRecord) error { return b.Save(entryOf(n)) }
