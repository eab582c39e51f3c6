package ledger

import (
	"cmp"
	"errors"
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
)

// A View is what an operation reads and writes: the memory, which is read-only, or a transaction. A
// record that is not there is nil. Records belong to the view: to change one, save a changed copy.
type View interface {
	Computers
	Instances
	Holders
	// Forward says whether a title was forwarded to a master.
	Forward(title, master string) (bool, error)
	// Save adds an entry, or changes it; without data it is gone.
	Save(e store.SlapEntry) error
}

// Computers are computers with their supplies.
type Computers interface {
	Computer(guid string) (*record.Computer, error)
	ComputerNamed(name string) (*record.Computer, error)
	Supply(computer, url string) (*record.Supply, error)
}

// Instances are instances, by their keys.
type Instances interface {
	Instance(id string) (*record.Instance, error)
	Named(name string) (*record.Instance, error)
	At(computer, partition string) (*record.Instance, error)
	// Instances are those of a tree, those that a host has, or those of a computer: the first that
	// is not "". The oldest come first.
	Instances(tree, host, computer string) ([]*record.Instance, error)
}

// Holders are the holders of certificates and tokens.
type Holders interface {
	// Certificates are those of a holder.
	Certificates(holder string) ([]*record.Certificate, error)
	// Token is what a token is good for, by its hash.
	Token(hash string) (*record.Token, error)
	// TokensOf are those for a user, the one that ends first first.
	TokensOf(user string) ([]*record.Token, error)
}

// ErrWrites ends an operation on the memory that has something to write.
var ErrWrites = errors.New("there is something to write")

// TxView is a transaction as a view.
type TxView struct {
	Tx       store.SlapTx
	known    *cache // decoded already
	revision int64
	wrote    bool
	// by ID, the instances with a partition, of each computer that was asked for
	placed map[string]map[string]*record.Instance
}

// Entry is an entry, and whether there is one.
func (p *TxView) Entry(kind store.SlapKind, key string) (store.SlapEntry, bool, error) {
	e, err := p.Tx.SlapEntry(kind, key)
	if errors.Is(err, compute.ErrNotFound) {
		return e, false, nil
	}
	return e, err == nil, err
}

func (p *TxView) Computer(guid string) (*record.Computer, error) {
	e, ok, err := p.Entry(record.KindComputer, guid)
	if !ok {
		return nil, err
	}
	return p.computerOf(e)
}

// computerOf is the computer of an entry. Each look for a place asks for some, of hundreds of
// slots: one that the memory has of the same revision is that.
func (p *TxView) computerOf(e store.SlapEntry) (*record.Computer, error) {
	if c := p.known.computer(e.Key); c != nil && c.Revision == e.Revision {
		return c, nil
	}
	return computerOf(e)
}

func (p *TxView) ComputerNamed(name string) (*record.Computer, error) {
	all, err := p.Tx.SlapEntries(store.SlapQuery{Kind: record.KindComputer, Name: name})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return p.computerOf(all[0])
}

func (p *TxView) Supply(computer, url string) (*record.Supply, error) {
	e, ok, err := p.Entry(record.KindSupply, Key(computer, url))
	if !ok {
		return nil, err
	}
	return SupplyOf(e)
}

func (p *TxView) Forward(title, master string) (bool, error) {
	_, ok, err := p.Entry(record.KindForward, Key(title, master))
	return ok, err
}

func (p *TxView) Instance(id string) (*record.Instance, error) {
	e, ok, err := p.Entry(record.KindInstance, id)
	if !ok {
		return nil, err
	}
	return instanceOf(e)
}

// Query are the instances that are asked for, the oldest first.
func (p *TxView) Query(q store.SlapQuery) ([]*record.Instance, error) {
	q.Kind = record.KindInstance
	entries, err := p.Tx.SlapEntries(q)
	if err != nil {
		return nil, err
	}
	all := make([]*record.Instance, len(entries))
	for i, e := range entries {
		if all[i], err = instanceOf(e); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, older)
	return all, nil
}

// SortByAge sorts, the oldest first.
func SortByAge(all []*record.Instance) []*record.Instance {
	slices.SortFunc(all, older)
	return all
}

func older(a, b *record.Instance) int {
	return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
}

func (p *TxView) one(q store.SlapQuery) (*record.Instance, error) {
	all, err := p.Query(q)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[0], nil
}

func (p *TxView) Named(name string) (*record.Instance, error) {
	return p.one(store.SlapQuery{Name: name})
}

func (p *TxView) At(computer, partition string) (*record.Instance, error) {
	return p.one(store.SlapQuery{Place: placeOf(computer, partition)})
}

func (p *TxView) Instances(tree, host, computer string) ([]*record.Instance, error) {
	return p.Query(store.SlapQuery{Tree: tree, Host: host, Computer: computer})
}

// PlacedOn are the instances with a partition on a computer, by ID. A transaction reads them once,
// however many shared instances look for a host there.
func PlacedOn(b View, guid string) (map[string]*record.Instance, error) {
	p, writing := b.(*TxView)
	if writing && p.placed[guid] != nil {
		return p.placed[guid], nil
	}
	some, err := b.Instances("", "", guid)
	if err != nil {
		return nil, err
	}
	all := map[string]*record.Instance{}
	for _, n := range some {
		if n.Partition != "" {
			all[n.ID] = n
		}
	}
	if writing {
		if p.placed == nil {
			p.placed = map[string]map[string]*record.Instance{}
		}
		p.placed[guid] = all
	}
	return all, nil
}

// moved has placedOn know of an instance that is saved.
func (p *TxView) moved(e store.SlapEntry) error {
	if e.Kind != record.KindInstance || len(p.placed) == 0 {
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

// Save writes e with the revision of the transaction. A status gets none.
func (p *TxView) Save(e store.SlapEntry) (err error) {
	if e.Kind == record.KindStatus {
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

// Deletion is an entry that is no more.
func Deletion(kind store.SlapKind, key string) store.SlapEntry {
	return store.SlapEntry{Kind: kind, Key: key}
}

// SaveInstance saves an instance.
func SaveInstance(b View, n *record.Instance) error { return b.Save(entryOf(n)) }
