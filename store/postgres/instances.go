package postgres

import (
	"errors"
	"maps"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/record"
)

const instanceColumns = "row, id, source, source_key, state, since, generation, uses, worker, basis, ready_at, child, detail, created"

func scanInstance(s scanner) (*instance, error) {
	var i instance
	var since, readyAt, created int64
	err := s.Scan(&i.Row, (*string)(&i.ID), &i.Source, &i.SourceKey, (*string)(&i.State), &since, &i.Generation, &i.Uses, &i.Worker, &i.Basis, &readyAt,
		(*string)(&i.Child), &i.detail, &created)
	if err != nil {
		return nil, err
	}
	i.ID, i.Source, i.Child = decode(i.ID), decode(i.Source), decode(i.Child)
	i.Since, i.ReadyAt, i.Created = record.Time(since), record.Time(readyAt), record.Time(created)
	return &i, record.ReadDetail(i.detail, &i.Instance)
}

// met returns what memory has of a record that was read, or has it remembered.
func (t *tx) met(i *instance) *instance {
	if known := t.m.rows[i.Row]; known != nil {
		return known
	}
	t.m.know(i)
	return i
}

// find looks for a record by its name: nil where there is none. Its lease comes with it, as a
// caller that asks for the one nearly always asks for the other.
func (t *tx) find(id compute.ID) (*instance, error) {
	if err := t.ready(); err != nil {
		return nil, err
	}
	if i, ok := t.m.instances[id]; ok {
		return i, nil
	}
	var is []*instance
	qs := []query{collect(&is, scanInstance, "SELECT "+instanceColumns+" FROM instances WHERE id = $1", encode(id))}
	var ls []*lease
	_, known := t.m.leases[id]
	if !known {
		qs = append(qs, leaseOf(&ls, id))
	}
	if err := t.ask(qs...); err != nil {
		return nil, err
	}
	if !known {
		t.lent1(id, ls)
	}
	if len(is) == 0 {
		t.m.instances[id] = nil
		return nil, nil
	}
	return t.met(is[0]), nil
}

// Instance returns the record of a name.
func (t *tx) Instance(id compute.ID) (*compute.Instance, error) {
	i, err := t.find(id)
	if err != nil {
		return nil, err
	}
	if i == nil {
		return nil, absent(errNoRow, string(id))
	}
	return i.own(), nil
}

// readReady asks for the first ready instances of a source.
func (t *tx) readReady(sourceKey int64, look int) query {
	var is []*instance
	q := collect(
		&is, scanInstance,
		"SELECT "+instanceColumns+" FROM instances WHERE source_key = $1 AND state = 'ready' ORDER BY row LIMIT $2",
		sourceKey, look,
	)
	read := q.rows
	q.rows = func(rows pgx.Rows) error {
		if err := read(rows); err != nil {
			return err
		}
		w := &window{upto: math.MaxInt64}
		if len(is) == look {
			w.upto = is[look-1].Row
		}
		for _, i := range is {
			w.rows = append(w.rows, t.met(i).Row)
		}
		t.m.ready[sourceKey] = w
		return nil
	}
	return q
}

// glances is how many ready instances are read at once at the most.
const glances = 256

// Pick returns ready instances, oldest record first. There is no other writer meanwhile, so no
// other caller can pick them.
func (t *tx) Pick(sourceKey int64, n int) ([]*compute.Instance, error) {
	if n <= 0 {
		return nil, nil
	}
	if err := t.ready(); err != nil {
		return nil, err
	}
	if len(t.m.drawn) < 4 && !slices.Contains(t.m.drawn, sourceKey) {
		t.m.drawn = append(t.m.drawn, sourceKey)
	}
	w := t.m.ready[sourceKey]
	if w == nil || len(w.rows) < n && w.upto < math.MaxInt64 {
		look := max(n, t.m.glance)
		t.m.glance = min(4*t.m.glance, glances)
		if err := t.ask(t.readReady(sourceKey, look)); err != nil {
			return nil, err
		}
		w = t.m.ready[sourceKey]
	}
	var out []*compute.Instance
	for _, row := range w.rows[:min(n, len(w.rows))] {
		out = append(out, t.m.rows[row].own())
	}
	return out, nil
}

// Instances returns those that the query selects, oldest record first.
func (t *tx) Instances(q inventory.InstanceQuery) ([]*compute.Instance, error) {
	var w where
	if q.SourceKey != 0 {
		w.and("source_key = ?", q.SourceKey)
	}
	if q.Source != "" {
		w.and("source = ?", encode(q.Source))
	}
	if q.Owner != "" {
		w.and("id IN (SELECT instance FROM leases WHERE ended = 0 AND owner = ?)", encode(q.Owner))
	}
	if q.Busy {
		w.and("state NOT IN ('ready', 'leased') AND state IN ('creating', 'setting-up', 'cleaning', 'discarding')")
	}
	if len(q.States) > 0 {
		// With the indexes' own conditions written out, PostgreSQL sees that it can use them.
		if !slices.Contains(q.States, compute.Ready) && !slices.Contains(q.States, compute.Leased) {
			w.and("state NOT IN ('ready', 'leased')")
		}
		if len(q.States) == 1 && q.States[0] == compute.Ready {
			w.and("state = 'ready'")
		} else {
			states := make([]string, len(q.States))
			for n, s := range q.States {
				states[n] = string(s)
			}
			w.and("state = ANY (?)", states)
		}
	}
	if q.Child != "" {
		w.and("child <> '' AND child = ?", encode(q.Child))
	}
	if q.After != 0 {
		w.and("row > ?", q.After)
	}
	if err := t.ready(); err != nil {
		return nil, err
	}
	var is []*instance
	err := t.ask(collect(&is, scanInstance, "SELECT "+instanceColumns+" FROM instances"+w.text+" ORDER BY row"+limit(q.Limit), w.args...))
	if err != nil {
		return nil, err
	}
	out := make([]*compute.Instance, len(is))
	for n, i := range is {
		if t.readOnly {
			out[n] = &i.Instance // no other code has it
		} else {
			out[n] = t.met(i).own()
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// before is the record in a row: nil where there is none. The caller's own copy may be old.
func (t *tx) before(row int64) (*instance, error) {
	if i := t.m.rows[row]; i != nil {
		return i, nil
	}
	var is []*instance
	if err := t.ask(collect(
		&is, scanInstance, "SELECT "+instanceColumns+" FROM instances WHERE row = $1", row,
	)); err != nil || len(is) == 0 {
		return nil, err
	}
	return t.met(is[0]), nil
}

// SaveInstance inserts or updates a record. Its name, source and child are as they were when it was
// made.
func (t *tx) SaveInstance(i *compute.Instance) error {
	if err := t.writing(); err != nil {
		return err
	}
	d := record.DetailOf(i)
	text := d.Text()
	if i.Row == 0 {
		return t.insert(i, text)
	}
	now, err := t.before(i.Row)
	if err != nil {
		return err
	}
	if now == nil {
		return absent(errNoRow, string(i.ID))
	}
	was, born := now.State, now.Instance
	now.Instance, now.detail = *i, text
	now.ID, now.Source, now.SourceKey, now.Child, now.Created = born.ID, born.Source, born.SourceKey, born.Child, born.Created
	now.Facts = maps.Clone(i.Facts)
	t.touch(now.ID)
	t.count(now, was, now.State)
	if t.mark(now) {
		t.changed = append(t.changed, now)
	}
	return nil
}

// insert makes a record. A name that is there must be an answer to the caller, not a failed write
// that takes the transaction with it.
func (t *tx) insert(i *compute.Instance, text string) error {
	if there, err := t.find(i.ID); err != nil {
		return err
	} else if there != nil {
		return &compute.Error{ID: i.ID, Kind: compute.ErrConflict, Err: errors.New("an instance of this name exists")}
	}
	t.m.last.instance++
	i.Row = t.m.last.instance
	n := &instance{Instance: *i, detail: text}
	n.Facts = maps.Clone(i.Facts)
	t.m.know(n)
	t.touch(n.ID)
	t.mark(n)
	t.made = append(t.made, n)
	t.count(n, "", n.State)
	return nil
}

// DropInstance forgets a record.
func (t *tx) DropInstance(i *compute.Instance) error {
	if err := t.writing(); err != nil {
		return err
	}
	now, err := t.before(i.Row)
	if err != nil || now == nil {
		return err
	}
	t.count(now, now.State, "")
	t.touch(now.ID)
	t.m.lose(now)
	isNow := func(o *instance) bool { return o == now }
	if n := slices.IndexFunc(t.made, isNow); n >= 0 {
		t.made = slices.Delete(t.made, n, n+1)
		return nil
	}
	t.changed = slices.DeleteFunc(t.changed, isNow)
	t.dropped = append(t.dropped, now.Row)
	return nil
}

// count applies a change of a record to the ready set and to the counts of its source: those read
// before, and those to write.
func (t *tx) count(i *instance, from, to compute.State) {
	if from == to {
		return
	}
	if to == compute.Ready {
		t.m.enter(i)
	} else if from == compute.Ready {
		t.m.leave(i)
	}
	if r := t.m.source(func(r *store.SourceRecord) bool { return r.Key == i.SourceKey }); r != nil {
		r.Counts.Add(from, -1)
		r.Counts.Add(to, 1)
	}
	if t.counts == nil {
		t.counts = map[int64]*inventory.Counts{}
	}
	c := t.counts[i.SourceKey]
	if c == nil {
		c = &inventory.Counts{}
		t.counts[i.SourceKey] = c
	}
	c.Add(from, -1)
	c.Add(to, 1)
}
