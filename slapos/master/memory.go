package master

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"unique"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/slap"
)

// memory is a book of all that was committed up to a revision. Records in it never change: they are
// replaced.
type memory struct {
	revision  int64
	applying  int64             // the revision up to which changes are taken over
	computers map[string]*seen  // by GUID
	called    map[string]string // GUIDs of computers that have a title, by the name of their entry
	byID      map[string]*slap.InstanceRecord
	byName    map[string]*slap.InstanceRecord
	trees     map[string]map[string]bool // of IDs, for trees of more than a root
	hosts     map[string]map[string]bool
	releases  map[string]*runners // by what has a partition runs (runs)
	forwards  map[string]bool
	bySerial  map[string]*slap.CertificateRecord
	holders   map[string]map[string]bool // of serials
	tokens    map[string]*slap.TokenRecord
	used      map[string]map[string]used // by project and user
	// GUIDs of what has changed since who waits for that was told
	touched []string
}

func newMemory() *memory {
	return &memory{computers: map[string]*seen{}, called: map[string]string{}, byID: map[string]*slap.InstanceRecord{},
		byName: map[string]*slap.InstanceRecord{},
		trees:  map[string]map[string]bool{}, hosts: map[string]map[string]bool{}, releases: map[string]*runners{},
		forwards: map[string]bool{},
		bySerial: map[string]*slap.CertificateRecord{}, holders: map[string]map[string]bool{},
		tokens: map[string]*slap.TokenRecord{}, used: map[string]map[string]used{}}
}

func (m *memory) computer(guid string) (*slap.ComputerRecord, error) {
	if c := m.computers[guid]; c != nil {
		return c.record, nil
	}
	return nil, nil
}

func (m *memory) computerNamed(name string) (*slap.ComputerRecord, error) {
	return m.computer(m.called[name])
}

func (m *memory) supply(computer, url string) (*slap.SupplyRecord, error) {
	if c := m.computers[computer]; c != nil {
		return c.supplies[url], nil
	}
	return nil, nil
}

func (m *memory) forward(title, master string) (bool, error) {
	return m.forwards[key(title, master)], nil
}

func (m *memory) instance(id string) (*slap.InstanceRecord, error) { return m.byID[id], nil }

func (m *memory) named(name string) (*slap.InstanceRecord, error) { return m.byName[name], nil }

func (m *memory) at(computer, partition string) (*slap.InstanceRecord, error) {
	return m.computers[computer].at(partition), nil
}

func (m *memory) instances(tree, host, computer string) ([]*slap.InstanceRecord, error) {
	var ids map[string]bool
	switch {
	case tree != "":
		ids = m.trees[tree]
		if root := m.byID[tree]; len(ids) == 0 && root != nil {
			return []*slap.InstanceRecord{root}, nil
		}
	case host != "":
		ids = m.hosts[host]
	case m.computers[computer] != nil:
		return slices.SortedFunc(m.computers[computer].all(), older), nil
	}
	all := make([]*slap.InstanceRecord, 0, len(ids))
	for id := range ids {
		all = append(all, m.byID[id])
	}
	slices.SortFunc(all, older)
	return all, nil
}

func (m *memory) save(slap.Entry) error { return errWrites }

// on is the computer of that name, made if nothing is known of it yet.
func (m *memory) on(guid string) *seen {
	c := m.computers[guid]
	if c == nil {
		c = &seen{}
		m.computers[guid] = c
	}
	return c
}

// touch drops what was kept of a computer's document.
func (m *memory) touch(guid string) {
	m.touched = append(m.touched, guid)
	if c := m.computers[guid]; c != nil {
		c.document.Store(nil)
		c.changed = m.applying
		if c.empty() {
			delete(m.computers, guid)
		}
	}
}

// apply takes a change over.
func (m *memory) apply(e slap.Entry) error {
	switch e.Kind {
	case slap.KindComputer:
		return m.applyComputer(e)
	case slap.KindSupply:
		return m.applySupply(e)
	case slap.KindInstance:
		return m.applyInstance(e)
	case slap.KindForward:
		if delete(m.forwards, e.Key); e.Data != nil {
			m.forwards[e.Key] = true
		}
	case slap.KindOther:
		return firstOf(m.applyCertificate(e), m.applyToken(e))
	}
	return nil
}

func (m *memory) applyComputer(e slap.Entry) error {
	of := m.on(e.Key)
	if of.record != nil {
		delete(m.called, computerName(of.record))
	}
	of.record = nil
	if e.Data != nil {
		c, err := computerOf(e)
		if err != nil {
			return err
		}
		shareSlots(c)
		of.record = c
		if e.Name != "" {
			m.called[e.Name] = c.GUID
		}
	}
	m.touch(e.Key)
	return nil
}

func (m *memory) applySupply(e slap.Entry) error {
	computer, url := cut(e.Key)
	on := m.on(computer)
	if delete(on.supplies, url); e.Data != nil {
		s, err := supplyOf(e)
		if err != nil {
			return err
		}
		if on.supplies == nil {
			on.supplies = map[string]*slap.SupplyRecord{}
		}
		on.supplies[url] = s
	}
	m.touch(computer)
	return nil
}

func (m *memory) applyInstance(e slap.Entry) error {
	if old := m.byID[e.Key]; old != nil {
		m.forget(old)
	}
	if e.Data == nil {
		return nil
	}
	n, err := instanceOf(e)
	if err != nil {
		return err
	}
	m.share(n)
	m.count(n, 1)
	m.byID[n.ID] = n
	name := nameOf(n)
	if title := titleIn(name); title == n.Title { // a part of the name takes no room of its own
		n.Title = title
	}
	m.byName[name] = n
	if takesPlace(n) {
		if m.releases[runs(n)] == nil {
			m.releases[runs(n)] = &runners{count: map[string]int{}}
		}
		m.releases[runs(n)].add(n.Computer)
	}
	if n.Root != n.ID {
		add(m.trees, n.Root, n.Root)
		add(m.trees, n.Root, n.ID)
	}
	if host := hostOf(n); host != "" {
		add(m.hosts, host, n.ID)
	}
	m.on(n.Computer).put(n)
	m.stale(n)
	return nil
}

// share has the texts of a record be the same ones as those of others where they say the same:
// there may be a hundred thousand of them.
func (m *memory) share(n *slap.InstanceRecord) {
	share(&n.Release, &n.Type, &n.Asked, &n.State, &n.Computer, &n.Partition, &n.Owner, &n.Project)
	if n.Root == n.ID {
		n.Root = n.ID
	}
	if of := m.on(n.Computer); len(n.Filter) == 1 && n.Filter["computer_guid"] == n.Computer {
		if of.filter == nil {
			of.filter = n.Filter
		}
		n.Filter = of.filter
	}
}

// shareSlots is share for the slots of a computer, whose addresses stand in one row.
func shareSlots(c *slap.ComputerRecord) {
	many := 0
	for i := range c.Partitions {
		many += len(c.Partitions[i].Addresses)
	}
	row := make([]slap.PartitionAddress, 0, many)
	c.Partitions = slices.Clone(c.Partitions)
	for i := range c.Partitions {
		p := &c.Partitions[i]
		share(&p.ID)
		if len(p.Addresses) == 0 { // it stays what it is, as it is compared with what a node says
			continue
		}
		from := len(row)
		row = append(row, p.Addresses...)
		p.Addresses = row[from:len(row):len(row)]
	}
	for i := range row {
		share(&row[i].Interface, &row[i].Netmask, &row[i].Gateway, &row[i].Network)
	}
}

// share has texts be the same ones as others that say the same.
func share(texts ...*string) {
	for _, text := range texts {
		*text = unique.Make(*text).Value()
	}
}

func (m *memory) forget(n *slap.InstanceRecord) {
	m.stale(n)
	m.count(n, -1)
	delete(m.byID, n.ID)
	if name := nameOf(n); m.byName[name] == n { // another may have it by now
		delete(m.byName, name)
	}
	if n.Root != n.ID {
		drop(m.trees, n.Root, n.ID)
		if rest := m.trees[n.Root]; len(rest) == 1 && rest[n.Root] {
			delete(m.trees, n.Root)
		}
	}
	drop(m.hosts, hostOf(n), n.ID)
	if takesPlace(n) {
		if m.releases[runs(n)].drop(n.Computer); len(m.releases[runs(n)].guids) == 0 {
			delete(m.releases, runs(n))
		}
	}
	m.on(n.Computer).drop(n)
	m.touch(n.Computer)
}

// stale drops the documents in which an instance shows: that of its computer, and as its title and
// state show in those of its tree, theirs.
func (m *memory) stale(n *slap.InstanceRecord) {
	m.touch(n.Computer)
	for id := range m.trees[n.Root] {
		if other := m.byID[id]; other != nil {
			m.touch(other.Computer)
		}
	}
}

// runs is the software release that an instance runs, and how: what a shared one looks for in a
// host.
func runs(n *slap.InstanceRecord) string { return key(n.Release, plainType(n.Type)) }

func add(sets map[string]map[string]bool, set, id string) {
	if sets[set] == nil {
		sets[set] = map[string]bool{}
	}
	sets[set][id] = true
}

func drop(sets map[string]map[string]bool, set, id string) {
	if delete(sets[set], id); len(sets[set]) == 0 {
		delete(sets, set)
	}
}

// remembered is the memory of a master, and what sees that it is true.
type remembered struct {
	begun atomic.Int64 // so many comparisons with the store were begun
	look  sync.Mutex   // held while one is made
	done  int64        // the last that came out well; guarded by look
	shelf shelf

	mu     sync.RWMutex
	memory *memory // guarded by mu
	// by a computer's GUID, closed at its next change, guarded by mu; those for which somebody
	// waits
	next map[string]chan struct{}
}

// computer is what the memory has of a computer; nil: nothing.
func (r *remembered) computer(guid string) *slap.ComputerRecord {
	r.mu.RLock()
	defer r.mu.RUnlock()
	c, _ := r.memory.computer(guid)
	return c
}

// fresh sees that the memory has all that was committed before it is called. Callers that meet
// share a look at the store.
func (m *ledger) fresh(ctx context.Context) error {
	before := m.known.begun.Load()
	m.known.look.Lock()
	defer m.known.look.Unlock()
	if m.known.done > before {
		return nil
	}
	this := m.known.begun.Add(1)
	err := m.catchUp(ctx)
	if err == nil {
		m.known.done = this
	}
	return err
}

func (m *ledger) catchUp(ctx context.Context) error {
	was := m.known.memory.revision // only written under look
	var now int64
	var changes []slap.Entry
	var anew *memory // where all is read
	err := m.store.View(ctx, func(tx compute.Tx) (err error) {
		changes, anew = nil, nil
		if now, err = tx.(Tx).SlapRevision(); err != nil || now == was {
			return err
		}
		if was > 0 && now >= was { // else the store is another
			err = tx.(Tx).SlapChanges(was, func(e slap.Entry) error { changes = append(changes, e); return nil })
			if !errors.Is(err, compute.ErrStale) {
				return err
			}
		}
		anew = newMemory()
		anew.applying = now
		// one by one: with what they are made of they would be twice as large
		return tx.(Tx).SlapChanges(0, anew.take)
	})
	if err != nil || now == was {
		return err
	}
	m.known.mu.Lock()
	defer m.known.mu.Unlock()
	defer func() { m.known.tell(anew != nil) }()
	if anew != nil {
		m.known.memory = anew
	}
	m.known.memory.revision = -1 // until all of it is there
	m.known.memory.applying = now
	for _, e := range changes {
		if err := m.known.memory.take(e); err != nil {
			m.known.memory = newMemory()
			return err
		}
	}
	m.known.memory.revision = now
	return nil
}

// take is apply, with an error that names the record.
func (m *memory) take(e slap.Entry) error {
	if err := m.apply(e); err != nil {
		return &compute.Error{
			Op: "slap", ID: compute.ID(e.Key), Kind: compute.ErrFailed,
			Err: errors.Join(errors.New("a record of the "+string(e.Kind)+" cannot be read"), err),
		}
	}
	return nil
}

// tell wakes those who wait for a change of what has changed, or all. It is called with mu held.
func (r *remembered) tell(all bool) {
	if all || r.memory.revision <= 0 { // it was read anew, or could not be
		r.memory.touched = slices.AppendSeq(r.memory.touched, maps.Keys(r.next))
	}
	for _, guid := range r.memory.touched {
		if next := r.next[guid]; next != nil {
			close(next)
			delete(r.next, guid)
		}
	}
	r.memory.touched = nil
}

// read runs an operation on the memory.
func (m *ledger) read(fn func(b book) error) error {
	m.known.mu.RLock()
	defer m.known.mu.RUnlock()
	return fn(m.known.memory)
}

// computers are the GUIDs of all that have a record, in order.
func (m *memory) guids() []string {
	all := slices.Sorted(maps.Keys(m.computers))
	return slices.DeleteFunc(all, func(guid string) bool { return m.computers[guid].record == nil })
}
