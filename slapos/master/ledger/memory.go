package ledger

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"unique"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
)

// Memory is a view of all that was committed up to a revision. Records in it never change: they are
// replaced.
type Memory struct {
	revision  int64
	applying  int64                // the revision up to which changes are taken over
	Computers map[string]*Computer // by GUID
	// GUIDs of computers that have a title, by the name of their entry
	called   map[string]string
	ByID     map[string]*record.Instance
	byName   map[string]*record.Instance
	Trees    map[string]map[string]bool // of IDs, for trees of more than a root
	hosts    map[string]map[string]bool
	Releases map[string]*releaseComputers // by what has a partition runs (runs)
	forwards map[string]bool
	BySerial map[string]*record.Certificate
	holders  map[string]map[string]bool // of serials
	tokens   map[string]*record.Token
	Used     map[string]map[string]Used // by project and user
	// GUIDs of computers that have changed since the waiters were told
	touched []string
}

func newMemory() *Memory {
	return &Memory{Computers: map[string]*Computer{}, called: map[string]string{}, ByID: map[string]*record.Instance{},
		byName: map[string]*record.Instance{},
		Trees:  map[string]map[string]bool{}, hosts: map[string]map[string]bool{}, Releases: map[string]*releaseComputers{},
		forwards: map[string]bool{},
		BySerial: map[string]*record.Certificate{}, holders: map[string]map[string]bool{},
		tokens: map[string]*record.Token{}, Used: map[string]map[string]Used{}}
}

func (m *Memory) Computer(guid string) (*record.Computer, error) {
	if c := m.Computers[guid]; c != nil {
		return c.Record, nil
	}
	return nil, nil
}

func (m *Memory) ComputerNamed(name string) (*record.Computer, error) {
	return m.Computer(m.called[name])
}

func (m *Memory) Supply(computer, url string) (*record.Supply, error) {
	if c := m.Computers[computer]; c != nil {
		return c.Supplies[url], nil
	}
	return nil, nil
}

func (m *Memory) Forward(title, master string) (bool, error) {
	return m.forwards[Key(title, master)], nil
}

func (m *Memory) Instance(id string) (*record.Instance, error) { return m.ByID[id], nil }

func (m *Memory) Named(name string) (*record.Instance, error) { return m.byName[name], nil }

func (m *Memory) At(computer, partition string) (*record.Instance, error) {
	return m.Computers[computer].At(partition), nil
}

// Instances returns those of a tree, a host or a computer, the oldest first; the first that is
// not empty counts. The records are not copied.
func (m *Memory) Instances(tree, host, computer string) ([]*record.Instance, error) {
	var ids map[string]bool
	switch {
	case tree != "":
		ids = m.Trees[tree]
		if root := m.ByID[tree]; len(ids) == 0 && root != nil {
			return []*record.Instance{root}, nil
		}
	case host != "":
		ids = m.hosts[host]
	case m.Computers[computer] != nil:
		return slices.SortedFunc(m.Computers[computer].all(), older), nil
	}
	all := make([]*record.Instance, 0, len(ids))
	for id := range ids {
		all = append(all, m.ByID[id])
	}
	slices.SortFunc(all, older)
	return all, nil
}

func (m *Memory) Save(store.SlapEntry) error { return ErrWrites }

// on is the computer of that name, made if nothing is known of it yet.
func (m *Memory) on(guid string) *Computer {
	c := m.Computers[guid]
	if c == nil {
		c = &Computer{}
		m.Computers[guid] = c
	}
	return c
}

// touch drops the cached document of a computer.
func (m *Memory) touch(guid string) {
	m.touched = append(m.touched, guid)
	if c := m.Computers[guid]; c != nil {
		c.Document.Store(nil)
		c.changed = m.applying
		if c.empty() {
			delete(m.Computers, guid)
		}
	}
}

// apply takes a change over.
func (m *Memory) apply(e store.SlapEntry) error {
	switch e.Kind {
	case record.KindComputer:
		return m.applyComputer(e)
	case record.KindSupply:
		return m.applySupply(e)
	case record.KindInstance:
		return m.applyInstance(e)
	case record.KindForward:
		if delete(m.forwards, e.Key); e.Data != nil {
			m.forwards[e.Key] = true
		}
	case record.KindOther:
		return cmp.Or(m.applyCertificate(e), m.applyToken(e))
	}
	return nil
}

// applyComputer takes an entry in; one without data removes the record.
func (m *Memory) applyComputer(e store.SlapEntry) error {
	of := m.on(e.Key)
	if of.Record != nil {
		delete(m.called, computerName(of.Record))
	}
	of.Record = nil
	if e.Data != nil {
		c, err := computerOf(e)
		if err != nil {
			return err
		}
		shareSlots(c)
		of.Record = c
		if e.Name != "" {
			m.called[e.Name] = c.GUID
		}
	}
	m.touch(e.Key)
	return nil
}

// applySupply takes an entry in; one without data removes the supply.
func (m *Memory) applySupply(e store.SlapEntry) error {
	computer, url := CutKey(e.Key)
	on := m.on(computer)
	if delete(on.Supplies, url); e.Data != nil {
		s, err := SupplyOf(e)
		if err != nil {
			return err
		}
		if on.Supplies == nil {
			on.Supplies = map[string]*record.Supply{}
		}
		on.Supplies[url] = s
	}
	m.touch(computer)
	return nil
}

// applyInstance applies a change of an instance to the memory and to its indexes.
func (m *Memory) applyInstance(e store.SlapEntry) error {
	if old := m.ByID[e.Key]; old != nil {
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
	m.Count(n, 1)
	m.ByID[n.ID] = n
	name := NameOf(n)
	if title := titleIn(name); title == n.Title { // a part of the name takes no room of its own
		n.Title = title
	}
	m.byName[name] = n
	if takesPlace(n) {
		if m.Releases[Runs(n)] == nil {
			m.Releases[Runs(n)] = &releaseComputers{count: map[string]int{}}
		}
		m.Releases[Runs(n)].add(n.Computer)
	}
	if n.Root != n.ID {
		add(m.Trees, n.Root, n.Root)
		add(m.Trees, n.Root, n.ID)
	}
	if host := hostOf(n); host != "" {
		add(m.hosts, host, n.ID)
	}
	m.on(n.Computer).put(n)
	m.touchTree(n)
	return nil
}

// share lets equal texts of records share memory: there may be a hundred thousand of them.
func (m *Memory) share(n *record.Instance) {
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
func shareSlots(c *record.Computer) {
	many := 0
	for i := range c.Partitions {
		many += len(c.Partitions[i].Addresses)
	}
	row := make([]record.PartitionAddress, 0, many)
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

// share replaces texts by equal ones that are in memory already.
func share(texts ...*string) {
	for _, text := range texts {
		*text = unique.Make(*text).Value()
	}
}

// forget takes n out of every index. A tree of which only the root is left has no entry.
func (m *Memory) forget(n *record.Instance) {
	m.touchTree(n)
	m.Count(n, -1)
	delete(m.ByID, n.ID)
	if name := NameOf(n); m.byName[name] == n { // another may have it by now
		delete(m.byName, name)
	}
	if n.Root != n.ID {
		drop(m.Trees, n.Root, n.ID)
		if rest := m.Trees[n.Root]; len(rest) == 1 && rest[n.Root] {
			delete(m.Trees, n.Root)
		}
	}
	drop(m.hosts, hostOf(n), n.ID)
	if takesPlace(n) {
		if m.Releases[Runs(n)].drop(n.Computer); len(m.Releases[Runs(n)].GUIDs) == 0 {
			delete(m.Releases, Runs(n))
		}
	}
	m.on(n.Computer).drop(n)
	m.touch(n.Computer)
}

// touchTree drops the documents in which an instance shows: that of its computer, and as its
// title and state show in those of its tree, theirs.
func (m *Memory) touchTree(n *record.Instance) {
	m.touch(n.Computer)
	for id := range m.Trees[n.Root] {
		if other := m.ByID[id]; other != nil {
			m.touch(other.Computer)
		}
	}
}

// Runs is the software release of an instance with its type. A shared instance looks for that in a
// host.
func Runs(n *record.Instance) string { return Key(n.Release, PlainType(n.Type)) }

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

// cache is the memory of a master, with its locks and waiters.
type cache struct {
	refreshes atomic.Int64 // so many comparisons with the store were begun
	look      sync.Mutex   // held while one is made
	done      int64        // the last that came out well; guarded by look
	documents DocumentCache

	mu     sync.RWMutex
	memory *Memory // guarded by mu
	// by a computer's GUID, for those that a caller waits for; closed at the computer's next
	// change, and guarded by mu
	next map[string]chan struct{}
}

// computer is what the memory has of a computer; nil: nothing.
func (r *cache) computer(guid string) *record.Computer {
	r.mu.RLock()
	defer r.mu.RUnlock()
	c, _ := r.memory.Computer(guid)
	return c
}

// take is apply, with an error that names the record.
func (m *Memory) take(e store.SlapEntry) error {
	if err := m.apply(e); err != nil {
		return &compute.Error{
			Op: "slap", ID: compute.ID(e.Key), Kind: compute.ErrFailed,
			Err: errors.Join(errors.New("a record of the "+string(e.Kind)+" cannot be read"), err),
		}
	}
	return nil
}

// wakeWaiters wakes the callers that wait for a change of a touched computer, or all callers. It
// is called with mu held.
func (r *cache) wakeWaiters(all bool) {
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

// GUIDs are those of all computers that have a record, in order.
func (m *Memory) GUIDs() []string {
	all := slices.Sorted(maps.Keys(m.Computers))
	return slices.DeleteFunc(all, func(guid string) bool { return m.Computers[guid].Record == nil })
}
