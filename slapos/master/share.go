package master

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
)

// share finds a host for a shared instance that has none.
func (a *requestState) share(b ledger.View) error {
	if a.needsTransaction(b) {
		return ledger.ErrWrites
	}
	n := a.newInstance()
	n.Computer = cmp.Or(a.filter["computer_guid"], a.m.opt.Computer)
	if a.found == nil || a.found.Beyond { // it counts while it waits for a host too
		if why, err := a.m.allocation.within(b, n); err != nil {
			return err
		} else if why != "" {
			a.result, n.Beyond = a.noHost(n, why), true
			return a.keepWaiting(b, n, why)
		}
	}
	host, err := a.m.allocation.findHost(b, n)
	if err != nil {
		return err
	}
	if host == nil {
		return a.keepWithoutHost(b, n)
	}
	n.Computer, n.Host, n.Stamp = host.Computer, host.ID, a.m.ledger.Stamp(n.Stamp)
	a.result = result{kind: placed, made: n}
	if err := ledger.SaveInstance(b, n); err != nil {
		return err
	}
	return a.m.trees.touch(b, host)
}

func (a *requestState) keepWithoutHost(b ledger.View, n *record.Instance) error {
	a.result = a.noHost(n, "")
	n.Host, n.Partition = "", ""
	return a.keepWaiting(b, n, noHost(n))
}

// noHost is the refusal of a shared instance that finds no host.
func (a *requestState) noHost(n *record.Instance, why string) result {
	return result{kind: refused, refusal: &access.Refusal{
		Kind:   compute.ErrNoCapacity,
		Text:   fmt.Sprintf("No partition corresponding to slave request: ['%s', '%s', '%s']", n.Release, n.Computer, n.Type),
		Detail: why,
	}}
}

func noHost(n *record.Instance) string {
	return fmt.Sprintf("no instance of %s of type %s on %s can have it", n.Release, n.Type, cmp.Or(n.Computer, "any computer"))
}

// changeShared is a request for a shared instance that has its host.
func (a *requestState) changeShared(b ledger.View) error {
	was := a.found
	host, err := b.Instance(was.Host)
	if err != nil {
		return err
	}
	n := *was
	n.Release, n.Type, n.Filter = a.Release, a.Type, a.filter
	// the reference repeats the request as its answer, and keeps nothing
	if !a.onlyStateChanges() || a.State == proto.Destroyed {
		n.Parameters = a.parameters
	}
	n.Asked, n.State = proto.Started, proto.Started
	if a.limitedState(a.State) == proto.Destroyed {
		return a.destroyShared(b, &n, host)
	}
	if host == nil || !fits(host, &n) || n.Filter["instance_guid"] != was.Filter["instance_guid"] {
		a.m.allocation.allowOtherComputer(&n)
		next, err := a.m.allocation.findHost(b, &n)
		if err != nil {
			return err
		}
		if next == nil && host != nil && fits(host, was) { // what is refused changes nothing
			a.result = a.noHost(&n, noHost(&n)+"; it stays as it was, with "+GUID(host))
			return nil
		}
		if host != nil && (next == nil || next.ID != host.ID) {
			if err := a.m.trees.touch(b, host); err != nil {
				return err
			}
		}
		if next == nil {
			return a.keepWithoutHost(b, &n)
		}
		host, n.Host, n.Computer = next, next.ID, next.Computer
	}
	a.result = result{kind: placed, made: &n}
	if n.Host == was.Host && n.Parameters == was.Parameters && n.Release == was.Release && n.Type == was.Type {
		if sameFilter(n.Filter, was.Filter) {
			return nil
		}
		return ledger.SaveInstance(b, &n)
	}
	n.Stamp = a.m.ledger.Stamp(n.Stamp)
	if err := ledger.SaveInstance(b, &n); err != nil {
		return err
	}
	return a.m.trees.touch(b, host)
}

// allowOtherComputer lets a shared instance that needs another host go to the computer that it
// was asked for, or anywhere.
func (m *allocation) allowOtherComputer(n *record.Instance) {
	if guid := n.Filter["computer_guid"]; guid != "" || m.opt.Computer == "" {
		n.Computer = guid
	}
}

// destroyShared ends a shared instance: its host is told, and nothing of it stays.
func (a *requestState) destroyShared(b ledger.View, n *record.Instance, host *record.Instance) error {
	n.Asked, n.State = proto.Destroyed, proto.Destroyed
	last, err := AnswerOf(b, n)
	if err != nil {
		return err
	}
	a.result = result{kind: forgotten, last: last}
	if err := Forget(b, n); err != nil || host == nil {
		return err
	}
	return a.m.trees.touch(b, host)
}

// fits says whether an instance can have a shared one.
func fits(host, n *record.Instance) bool {
	guid := n.Filter["instance_guid"]
	return !host.Shared && host.Partition != "" && host.State != proto.Destroyed && host.Release == n.Release &&
		sameType(host.Type, n.Type) &&
		(guid == "" || guid == GUID(host) || guid == host.Partition || guid == host.ID)
}

func sameType(a, b string) bool { return ledger.PlainType(a) == ledger.PlainType(b) }

// findHost is the first instance that can have a shared one, in the order of its computer's
// partitions. The search is on the wanted computer, or else on any.
func (m *allocation) findHost(b ledger.View, n *record.Instance) (*record.Instance, error) {
	if n.Computer != "" {
		return m.hostOn(b, n, n.Computer)
	}
	var full *record.Instance // with which it is refused, and said why
	for _, guid := range m.hostComputers(b, n) {
		host, err := m.hostOn(b, n, guid)
		if err != nil {
			return nil, err
		}
		if host == nil {
			continue
		}
		if ok, err := (documentRoom{}).takes(m.ledger, b, guid, n); err != nil || ok {
			return host, err
		}
		full = cmp.Or(full, host)
	}
	return full, nil
}

// hostComputers are those on which the memory knows an instance that can have a shared one, in the
// order of their names; no more than are tried.
func (m *allocation) hostComputers(b ledger.View, n *record.Instance) []string {
	find := func(mem *ledger.Memory) (all []string) {
		running := mem.Releases[ledger.Runs(n)]
		if running == nil {
			return nil
		}
		for _, guid := range running.GUIDs {
			c := mem.Computers[guid]
			if c == nil || c.Record == nil || !m.open(c.Record, n) || !hasHost(mem, c, guid, n) {
				continue
			}
			if all = append(all, guid); len(all) == maxTries {
				break
			}
		}
		return all
	}
	if mem, ok := b.(*ledger.Memory); ok { // which is held already
		return find(mem)
	}
	mem, done := m.ledger.RLock()
	defer done()
	return find(mem)
}

// hasHost says whether an instance on a computer can have a shared one. If the request names its
// host, three lookups answer that, whatever the number of instances.
func hasHost(m *ledger.Memory, c *ledger.Computer, guid string, n *record.Instance) bool {
	named := n.Filter["instance_guid"]
	if named == "" {
		return slices.ContainsFunc(c.Placed, func(host *record.Instance) bool { return fits(host, n) })
	}
	if host := m.ByID[named]; host != nil && host.Computer == guid && fits(host, n) {
		return true
	}
	if host := c.At(named); host != nil && fits(host, n) {
		return true
	}
	slot, ok := strings.CutPrefix(named, guid+"-")
	if !ok {
		return false
	}
	host := c.At(slot)
	return host != nil && fits(host, n)
}

// hostOn is findHost on a computer.
func (m *allocation) hostOn(b ledger.View, n *record.Instance, guid string) (*record.Instance, error) {
	c, err := b.Computer(guid)
	if err != nil || c == nil || !m.open(c, n) {
		return nil, err
	}
	if host, err := m.likelyHost(b, c, n); host != nil || err != nil {
		return host, err
	}
	found := map[string]*record.Instance{} // by partition
	on, err := ledger.PlacedOn(b, guid)
	if err != nil {
		return nil, err
	}
	for _, host := range on {
		if fits(host, n) {
			found[host.Partition] = host
		}
	}
	for i := range c.Partitions {
		if host := found[c.Partitions[i].ID]; host != nil {
			return host, nil
		}
	}
	return nil, nil
}

// likelyHost is the first by the memory that a transaction confirms. With nil the caller has to
// look at all on the computer.
func (m *allocation) likelyHost(b ledger.View, c *record.Computer, n *record.Instance) (*record.Instance, error) {
	if _, writing := b.(*ledger.TxView); !writing {
		return nil, nil
	}
	for i := range c.Partitions {
		var id string
		_ = m.ledger.Read(func(mem ledger.View) error {
			if host, _ := mem.At(c.GUID, c.Partitions[i].ID); host != nil && fits(host, n) {
				id = host.ID
			}
			return nil
		})
		if id == "" {
			continue
		}
		if host, err := b.Instance(id); err != nil || host != nil && host.Computer == c.GUID && fits(host, n) {
			return host, err
		}
	}
	return nil, nil
}

// touch has the node of an instance process it again.
func (m *trees) touch(b ledger.View, n *record.Instance) error {
	if now, err := b.Instance(n.ID); err != nil || now == nil {
		return err
	} else {
		copied := *now
		copied.Stamp = m.ledger.Stamp(copied.Stamp)
		return ledger.SaveInstance(b, &copied)
	}
}

// assignWaiting gives a new or changed instance the shared ones that wait for such a host.
func (m *trees) assignWaiting(b ledger.View, host *record.Instance) error {
	if host.Shared || host.Partition == "" {
		return nil
	}
	var waiting []*record.Instance
	for _, on := range []string{host.Computer, ""} {
		some, err := b.Instances("", ledger.WaitingFor(on, host.Release), "")
		if err != nil {
			return err
		}
		waiting = append(waiting, some...)
	}
	if len(waiting) == 0 {
		return nil
	}
	c, err := b.Computer(host.Computer)
	if err != nil || c == nil {
		return err
	}
	came, rooms := false, documentRoom{}
	for _, n := range waiting {
		if !fits(host, n) || !m.allocation.open(c, n) {
			continue
		}
		if ok, err := rooms.takes(m.ledger, b, host.Computer, n); err != nil {
			return err
		} else if !ok {
			continue
		}
		copied := *n
		copied.Host, copied.Computer, copied.Reason, copied.Stamp = host.ID, host.Computer, "", m.ledger.Stamp(n.Stamp)
		if err := ledger.SaveInstance(b, &copied); err != nil {
			return err
		}
		came = true
	}
	if !came {
		return nil
	}
	return m.touch(b, host)
}

// findNewHosts finds other hosts for the shared instances of a host that changed too much; now
// is nil if it is gone.
func (m *trees) findNewHosts(b ledger.View, was, now *record.Instance) error {
	if was.Shared {
		return nil
	}
	hosted, err := b.Instances("", was.ID, "")
	if err != nil {
		return err
	}
	rooms := documentRoom{}
	for _, n := range hosted {
		if now != nil && fits(now, n) {
			continue
		}
		copied := *n
		m.allocation.allowOtherComputer(&copied)
		next, err := m.allocation.findHost(b, &copied)
		if err != nil {
			return err
		}
		why := noHost(&copied)
		if next != nil && next.Computer != n.Computer {
			ok, err := rooms.takes(m.ledger, b, next.Computer, n)
			if err != nil {
				return err
			}
			if !ok {
				next, why = nil, "the node of "+next.Computer+" can be told no more"
			}
		}
		if next != nil {
			copied.Host, copied.Computer, copied.Stamp = next.ID, next.Computer, m.ledger.Stamp(n.Stamp)
		} else {
			copied.Host, copied.Reason = "", why
		}
		if err := ledger.SaveInstance(b, &copied); err != nil {
			return err
		}
		if next != nil {
			if err := m.touch(b, next); err != nil {
				return err
			}
		}
	}
	return nil
}

// Reference is a shared instance's name for its host: the title of its root, unless it is the root
// itself, and its own.
func Reference(root, n *record.Instance) string {
	if root == nil || root.ID == n.ID {
		return "_" + n.Title
	}
	return root.Title + "_" + n.Title
}

// hostedBy finds a shared instance by what its host calls it.
func hostedBy(b ledger.View, host *record.Instance, reference string) (*record.Instance, error) {
	hosted, err := b.Instances("", host.ID, "")
	if err != nil {
		return nil, err
	}
	for _, n := range hosted {
		if !strings.HasSuffix(reference, "_"+n.Title) {
			continue
		}
		root, err := b.Instance(n.Root)
		if err != nil {
			return nil, err
		}
		if Reference(root, n) == reference {
			return n, nil
		}
	}
	return nil, access.Refuse(compute.ErrNotFound, "The instance %s has no shared instance %s.", GUID(host), reference)
}
