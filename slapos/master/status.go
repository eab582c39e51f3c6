package master

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
)

// The stored part of an error, in characters, and the part that the reference's own calls show: its
// end says most.
const (
	maxMessage = 400
	maxTail    = 80
)

// tail is the end of a message.
func tail(message string, most int) string {
	runes := []rune(strings.ToValidUTF8(strings.TrimSpace(message), "\ufffd"))
	return string(runes[max(0, len(runes)-most):])
}

// InstanceStatusKey is the key of an instance's status.
func InstanceStatusKey(id string) string { return ledger.Key("instance", id) }

// SupplyStatusKey is the key of the status of a release on a computer.
func SupplyStatusKey(computer, url string) string { return ledger.Key("supply", computer, url) }

// ComputerStatus is the key of a computer's status.
func ComputerStatus(guid string) string { return ledger.Key("computer", guid) }

// DropStatus deletes the status with a key.
func DropStatus(b ledger.View, of string) error {
	return b.Save(ledger.Deletion(record.KindStatus, of))
}

// InstanceReported is a node's report of an instance's state.
func (m *statuses) InstanceReported(ctx context.Context, who access.Who, computer, partition, state string) error {
	return m.noteInstance(ctx, inPartition(who, computer, partition, ""), said(state))
}

// InstanceError is a node's report that an instance cannot be brought to its wanted state. Only the
// end of the message is kept.
func (m *statuses) InstanceError(ctx context.Context, who access.Who, computer, partition, reference, message string) error {
	return m.noteInstance(ctx, inPartition(who, computer, partition, reference), failed(message))
}

// noteInstance changes the status of an instance, if the instance is still there when it is
// written.
func (m *statuses) noteInstance(ctx context.Context, of target, change func(*record.Status)) error {
	if err := m.ledger.Refresh(ctx); err != nil {
		return err
	}
	var n *record.Instance
	if err := m.ledger.Read(func(b ledger.View) (err error) { n, err = of(b); return err }); err != nil {
		return err
	}
	return m.notes.note(ctx, InstanceStatusKey(n.ID), n.Computer, change, func(b ledger.View) (bool, error) {
		now, err := b.Instance(n.ID)
		return now != nil, err
	})
}

// ReleaseReported is a node's report that a release is being built, or available.
func (m *statuses) ReleaseReported(ctx context.Context, who access.Who, computer, url, state string) error {
	return m.noteRelease(ctx, who, computer, url, said(state))
}

// ReleaseError is a node's report that it cannot build a release. Only the end of the message is
// kept.
func (m *statuses) ReleaseError(ctx context.Context, who access.Who, computer, url, message string) error {
	return m.noteRelease(ctx, who, computer, url, failed(message))
}

// noteRelease changes the status of a supply. One that is not known is passed over.
func (m *statuses) noteRelease(ctx context.Context, who access.Who, computer, url string, change func(*record.Status)) error {
	if err := cmp.Or(who.Speaks(computer), m.ledger.Refresh(ctx)); err != nil {
		return err
	}
	var known bool
	if err := m.ledger.Read(func(b ledger.View) error {
		s, err := b.Supply(computer, url)
		known = s != nil
		return err
	}); err != nil {
		return err
	}
	if !known {
		return nil // as the reference takes it; it would interest no reader
	}
	return m.notes.note(ctx, SupplyStatusKey(computer, url), computer, change, func(b ledger.View) (bool, error) {
		now, err := b.Supply(computer, url)
		return now != nil, err
	})
}

// ComputerBang is a node's report on itself, as a message.
func (m *statuses) ComputerBang(ctx context.Context, who access.Who, computer, message string) error {
	if err := cmp.Or(who.Speaks(computer), m.ledger.Refresh(ctx)); err != nil {
		return err
	}
	var known *record.Computer
	if err := m.ledger.Read(func(b ledger.View) (err error) { known, err = b.Computer(computer); return err }); err != nil {
		return err
	}
	if known == nil {
		return access.UnknownComputer(computer)
	}
	return m.notes.note(ctx, ComputerStatus(computer), computer, func(s *record.Status) { s.Message = tail(message, maxMessage) }, nil)
}

// noteEvery is the age at which an unchanged status is stored again. A report within it changes
// nothing.
const noteEvery = time.Minute

func said(state string) func(*record.Status) {
	return func(s *record.Status) { s.State, s.Message, s.Error = state, "", false }
}

func failed(message string) func(*record.Status) {
	return func(s *record.Status) { s.Message, s.Error = tail(message, maxMessage), true }
}

// note keeps what a node said last of a thing, unless that has gone meanwhile; there nil: it never
// goes.
func (m *statusRecords) note(
	ctx context.Context, of, computer string, change func(*record.Status), there func(b ledger.View) (bool, error),
) error {
	now := time.Now().UTC()
	next := func(tx store.Tx) (s *record.Status, write bool, err error) {
		was, err := statusIn(tx, of)
		if err != nil {
			return nil, false, err
		}
		s = &record.Status{Computer: computer, Since: now}
		if was != nil {
			*s = *was
		}
		change(s)
		s.At = now
		if was != nil && was.State == s.State && was.Message == s.Message && was.Error == s.Error {
			return s, now.Sub(was.At) >= noteEvery, nil
		}
		s.Since = now
		return s, true, nil
	}
	write := false
	if err := m.ledger.Store.View(ctx, func(tx store.Tx) (err error) { _, write, err = next(tx); return err }); err != nil || !write {
		return err
	}
	fresh := false
	err := m.ledger.Store.Update(ctx, func(tx store.Tx) error {
		fresh = false
		s, write, err := next(tx)
		if err != nil || !write {
			return err
		}
		if there != nil {
			if is, err := there(m.ledger.TxView(tx)); err != nil || !is {
				return err
			}
		}
		fresh = s.Since.Equal(now)
		return tx.SaveSlap(store.SlapEntry{Kind: record.KindStatus, Key: of, Computer: computer, Data: ledger.Pack(s)})
	})
	if err == nil && fresh {
		m.heard.Add(1)
	}
	return err
}

func statusIn(tx store.SlapTx, of string) (*record.Status, error) {
	p := ledger.TxView{Tx: tx}
	e, ok, err := p.Entry(record.KindStatus, of)
	if !ok {
		return nil, err
	}
	return ledger.Unpack[record.Status](e)
}

// noteContact notes the time of a node's call for its document. It never fails: the node must
// get its answer.
func (m *statusRecords) noteContact(ctx context.Context, guid string) {
	now := time.Now().Unix()
	m.mu.Lock()
	late := now-m.seen[guid] >= int64(metEvery/time.Second)
	if late {
		m.seen[guid] = now
	}
	m.mu.Unlock()
	if !late {
		return
	}
	if err := m.note(ctx, ComputerStatus(guid), guid, func(*record.Status) {}, nil); err != nil && ctx.Err() == nil {
		m.ledger.Log.Warn("when a node was seen last is not kept", "computer", guid, "err", err)
	}
}

// metEvery is how often the time of a node's last call is stored. It is well below 5 minutes, so a
// check for that long is right.
const metEvery = 2 * time.Minute

// A Status is the last report on a computer, a release on one, or an instance.
type Status struct {
	Kind      string // of the thing, as the full master calls it
	Reference string
	Created   time.Time
	Said      *record.Status // nil: nothing was ever reported
}

// Value is the status as the full master gives it.
func (s *Status) Value() proto.Dictionary {
	d := proto.Dictionary{
		"portal_type": s.Kind, "reference": s.Reference, "created_at": httpTime(s.Created), "since": httpTime(s.Created),
		"user": "SlapOS Master", "state": "",
	}
	if s.Said == nil {
		d["no_data"], d["text"] = int64(1), "#error no data found for "+s.Reference
		return d
	}
	d["created_at"], d["since"], d["state"], d["user"] = httpTime(s.Said.At), httpTime(s.Said.Since), s.Said.State, s.Said.Computer
	d["text"] = statusText(s.Said, maxTail)
	age := time.Since(s.Said.At)
	for key, limit := range map[string]time.Duration{
		"no_data_since_5_minutes": 5 * time.Minute, "no_data_since_15_minutes": 15 * time.Minute,
	} {
		d[key] = int64(0)
		if age > limit {
			d[key] = int64(1)
		}
	}
	return d
}

// StatusText is a status as text; an error is cut as when it is stored.
func StatusText(said *record.Status) string { return statusText(said, maxMessage) }

// statusText is a status as text; an error is cut to most characters.
func statusText(said *record.Status, most int) string {
	if said.Error {
		return "#error " + tail(said.Message, most)
	}
	return strings.TrimSpace("#access " + said.State)
}

// Trouble is the error that was said last; "": there was none.
func Trouble(said *record.Status) string {
	if said == nil || !said.Error {
		return ""
	}
	return StatusText(said)
}

func httpTime(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") }

// ComputerStatus is that of a computer.
func (m *statuses) ComputerStatus(ctx context.Context, who access.Who, guid string) (*Status, error) {
	c, err := m.computers.Owned(ctx, who, guid)
	if err != nil {
		return nil, err
	}
	return m.status(ctx, &Status{Kind: "Compute Node", Reference: guid, Created: c.Created}, ComputerStatus(guid))
}

// SupplyStatus is that of a release on a computer.
func (m *statuses) SupplyStatus(ctx context.Context, who access.Who, guid, url string) (*Status, error) {
	if _, err := m.computers.Owned(ctx, who, guid); err != nil {
		return nil, err
	}
	var s *record.Supply
	if err := m.ledger.Read(func(b ledger.View) (err error) { s, err = b.Supply(guid, url); return err }); err != nil {
		return nil, err
	}
	if s == nil {
		return nil, access.Refuse(compute.ErrNotFound, "The release %s is not wanted on %s.", url, guid)
	}
	of := &Status{Kind: "Software Installation", Reference: guid + "-" + url, Created: s.Created}
	return m.status(ctx, of, SupplyStatusKey(guid, url))
}

// InstanceStatus is that of the instance in a partition; of one in which nothing is, nothing was
// reported.
func (m *statuses) InstanceStatus(ctx context.Context, who access.Who, guid, partition string) (*Status, error) {
	p, err := m.computers.Partition(ctx, who, guid, partition)
	if err != nil {
		return nil, err
	}
	var n *record.Instance
	if err := m.ledger.Read(func(b ledger.View) (err error) { n, err = b.At(guid, partition); return err }); err != nil {
		return nil, err
	}
	s := &Status{Kind: "Software Instance", Reference: p.GUID}
	if n == nil {
		return s, nil
	}
	s.Created = n.Created
	return m.status(ctx, s, InstanceStatusKey(n.ID))
}

// InstanceRecordStatus is the last status of an instance; nil: none.
func (m *statuses) InstanceRecordStatus(ctx context.Context, n *record.Instance) (*record.Status, error) {
	s, err := m.status(ctx, &Status{}, InstanceStatusKey(n.ID))
	if err != nil {
		return nil, err
	}
	return s.Said, nil
}

// Owned is a computer that the caller may know about.
func (m *computers) Owned(ctx context.Context, who access.Who, guid string) (c *record.Computer, err error) {
	if err := m.ledger.Refresh(ctx); err != nil {
		return nil, err
	}
	if err := m.ledger.Read(func(b ledger.View) (err error) { c, err = b.Computer(guid); return err }); err != nil {
		return nil, err
	}
	if err := who.Owns(guid, c); err != nil {
		return nil, err
	}
	if c == nil {
		return nil, access.UnknownComputer(guid)
	}
	return c, nil
}

func (m *statuses) status(ctx context.Context, s *Status, of string) (*Status, error) {
	err := m.ledger.Store.View(ctx, func(tx store.Tx) (err error) {
		s.Said, err = statusIn(tx, of)
		return err
	})
	return s, err
}

// Each reads the last reports of several things at once.
func (m *statuses) Each(ctx context.Context, keys []string, is func(i int, s *record.Status)) error {
	if len(keys) == 0 {
		return nil
	}
	return m.ledger.Store.View(ctx, func(tx store.Tx) error {
		for i, key := range keys {
			s, err := statusIn(tx, key)
			if err != nil {
				return err
			}
			is(i, s)
		}
		return nil
	})
}
