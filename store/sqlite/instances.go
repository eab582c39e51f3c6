package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/record"
)

const instanceColumns = "row, id, source, source_key, state, since, generation, uses, worker, basis, ready_at, child, detail, created"

// scanInstance reads a row; a transaction that writes keeps it in memory too.
func (t *tx) scanInstance(s scanner) (*compute.Instance, error) {
	r, err := scanRow(s)
	if err != nil {
		return nil, err
	}
	if !t.readOnly {
		m, err := t.memory()
		if err != nil {
			return nil, err
		}
		m.knowInstance(r)
	}
	return t.instance(r)
}

func scanRow(s scanner) (*instanceRow, error) {
	r := &instanceRow{}
	return r, s.Scan(&r.row, &r.id, &r.source, &r.sourceKey, &r.state, &r.since, &r.generation, &r.uses, &r.worker, &r.basis, &r.readyAt, &r.child,
		&r.detail, &r.created)
}

// instance is a row's record.
func (t *tx) instance(r *instanceRow) (*compute.Instance, error) {
	d, err := t.s.detail(r.detail)
	if err != nil {
		return nil, fmt.Errorf("record of %s: %w", r.id, err)
	}
	i := &compute.Instance{Row: r.row, ID: r.id, Source: r.source, SourceKey: r.sourceKey, State: r.state,
		Since: record.Time(r.since), Generation: r.generation, Uses: r.uses,
		Work: compute.Work{Worker: r.worker}, Basis: r.basis, ReadyAt: record.Time(r.readyAt), Child: r.child,
		Created: record.Time(r.created)}
	d.Give(i)
	return i, nil
}

// Instance returns the record of a name.
func (t *tx) Instance(id compute.ID) (*compute.Instance, error) {
	if !t.readOnly {
		m, err := t.memory()
		if err != nil {
			return nil, err
		}
		if r := m.instances[m.rows[id]]; r != nil {
			return t.instance(r)
		}
	}
	i, err := t.scanInstance(t.row("SELECT "+instanceColumns+" FROM instances WHERE id = ?", string(id)))
	return i, t.read(err, string(id))
}

// Pick returns ready instances, oldest record first. There is no other writer meanwhile, so no
// other caller can pick them.
func (t *tx) Pick(sourceKey int64, n int) ([]*compute.Instance, error) {
	if n <= 0 {
		return nil, nil
	}
	// The limit is written out: SQLite prepares a statement with a bound one anew at each run.
	const q = "SELECT " + instanceColumns + " FROM instances WHERE source_key = ? AND state = 'ready' ORDER BY row LIMIT "
	if n == 1 {
		i, err := t.scanInstance(t.row(q+"1", sourceKey))
		if err = t.read(err, ""); err == nil {
			return []*compute.Instance{i}, nil
		} else if errors.Is(err, compute.ErrNotFound) {
			return nil, nil
		}
		return nil, err
	}
	return collect(t, t.scanInstance, q+fmt.Sprint(n), sourceKey)
}

// moving is for queries of instances in transition. By itself SQLite would read all records, to
// have them in order.
const moving = " FROM instances INDEXED BY instances_moving"

// Instances returns those that the query selects, oldest record first.
func (t *tx) Instances(q inventory.InstanceQuery) ([]*compute.Instance, error) {
	var w where
	from := " FROM instances"
	if q.SourceKey != 0 {
		w.and("source_key = ?", q.SourceKey)
	}
	if q.Source != "" {
		w.and("source = ?", q.Source)
	}
	if q.Owner != "" {
		w.and("id IN (SELECT instance FROM leases WHERE ended = 0 AND owner = ?)", q.Owner)
	}
	if q.Busy {
		from = moving
		w.and("state NOT IN ('ready', 'leased') AND state IN ('creating', 'setting-up', 'cleaning', 'discarding')")
	}
	if len(q.States) > 0 {
		// The names are constants of ours; written out, and with the index's own condition, they
		// let SQLite use the partial indexes.
		var names []string
		for _, s := range q.States {
			names = append(names, "'"+string(s)+"'")
		}
		if !slices.Contains(q.States, compute.Ready) && !slices.Contains(q.States, compute.Leased) {
			from = moving
			w.and("state NOT IN ('ready', 'leased')")
		}
		w.and("state IN (" + strings.Join(names, ", ") + ")")
	}
	if q.Child != "" {
		w.and("child <> '' AND child = ?", string(q.Child))
	}
	if q.After != 0 {
		w.and("row > ?", q.After)
	}
	if q.Child != "" {
		from = " FROM instances" // there are fewer of these
	}
	return collect(t, t.scanInstance, "SELECT "+instanceColumns+from+w.text+" ORDER BY row"+limit(q.Limit), w.args...)
}

// SaveInstance inserts or updates a record. Its name, source and child are as they were when it was
// made.
func (t *tx) SaveInstance(i *compute.Instance) error {
	if i.Row != 0 {
		was, err := t.before(i)
		if err != nil {
			return err
		}
		text := t.s.packDetail(i, was.detail)
		err = t.update(string(i.ID), `UPDATE instances SET state = ?, since = ?, generation = ?, uses = ?, worker = ?, basis = ?, ready_at = ?,
 detail = ? WHERE row = ?`,
			string(i.State), record.Nanos(i.Since), i.Generation, i.Uses, i.Worker, i.Basis, record.Nanos(i.ReadyAt), text, i.Row)
		if err != nil {
			return err
		}
		now := *was
		now.change(i, text)
		t.s.memory.knowInstance(&now)
		t.count(now.sourceKey, was.state, now.state)
		return nil
	}
	// A name that is there must be an answer to the caller, not a failed write that takes the
	// transaction with it.
	if _, err := t.Instance(i.ID); err == nil {
		return &compute.Error{ID: i.ID, Kind: compute.ErrConflict, Err: errors.New("an instance of this name exists")}
	} else if !errors.Is(err, compute.ErrNotFound) {
		return err
	}
	text := t.s.packDetail(i, "")
	r, err := t.write(`INSERT INTO instances (id, source, source_key, state, since, generation, uses, worker, basis, ready_at, child, detail, created)
 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		string(i.ID), i.Source, i.SourceKey, string(i.State), record.Nanos(i.Since), i.Generation, i.Uses, i.Worker,
		i.Basis, record.Nanos(i.ReadyAt),
		string(i.Child), text, record.Nanos(i.Created))
	if err != nil {
		return err
	}
	if i.Row, err = r.LastInsertId(); err != nil {
		return t.fail(err)
	}
	now := &instanceRow{row: i.Row, id: i.ID, source: i.Source, sourceKey: i.SourceKey, child: i.Child, created: record.Nanos(i.Created)}
	now.change(i, text)
	t.s.memory.knowInstance(now)
	t.count(i.SourceKey, "", i.State)
	return nil
}

// before is the stored row of an instance that is about to change. The caller's own record may have
// been read long ago.
func (t *tx) before(i *compute.Instance) (*instanceRow, error) {
	m, err := t.memory()
	if err != nil {
		return nil, err
	}
	if r := m.instances[i.Row]; r != nil {
		return r, nil
	}
	r, err := scanRow(t.row("SELECT "+instanceColumns+" FROM instances WHERE row = ?", i.Row))
	return r, t.read(err, string(i.ID))
}

// count notes a change of a row's state, where "" is none, for the counts of its source: in the
// records known and in what settle will write.
func (t *tx) count(source int64, from, to compute.State) {
	if from == to {
		return
	}
	for _, r := range t.s.memory.sources {
		if r.Key == source {
			r.Counts.Add(from, -1)
			r.Counts.Add(to, 1)
		}
	}
	if t.changes == nil {
		t.changes = map[int64]*inventory.Counts{}
	}
	c := t.changes[source]
	if c == nil {
		c = &inventory.Counts{}
		t.changes[source] = c
	}
	c.Add(from, -1)
	c.Add(to, 1)
}

// settle writes once for all functions of a transaction: the events, and the changes of the counts
// of sources. It runs before the transaction ends, and before a query that depends on them.
func (t *tx) settle() error {
	if err := t.writeEvents(); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(t.changes)) {
		c := t.changes[key]
		delete(t.changes, key)
		if *c == (inventory.Counts{}) {
			continue
		}
		if *c == (inventory.Counts{Ready: c.Ready, Leased: c.Leased}) { // a hand-out or its return
			if _, err := t.write(
				"UPDATE sources SET ready = ready + ?, leased = leased + ? WHERE key = ?", c.Ready, c.Leased, key,
			); err != nil {
				return err
			}
			continue
		}
		_, err := t.write(`UPDATE sources SET creating = creating + ?, setting_up = setting_up + ?, ready = ready + ?, leased = leased + ?,
 cleaning = cleaning + ?, failed = failed + ?, discarding = discarding + ?, held = held + ? WHERE key = ?`,
			c.Creating, c.SettingUp, c.Ready, c.Leased, c.Cleaning, c.Failed, c.Discarding, c.Held, key)
		if err != nil {
			return err
		}
	}
	return nil
}

// DropInstance forgets a record.
func (t *tx) DropInstance(i *compute.Instance) error {
	was, err := t.before(i)
	if errors.Is(err, compute.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	if _, err := t.write("DELETE FROM instances WHERE row = ?", i.Row); err != nil {
		return err
	}
	t.s.memory.forgetInstance(was)
	t.count(was.sourceKey, was.state, "")
	return nil
}

const sourceColumns = `key, name, digest, type, place, definition, failures, no_room, unreachable, paused, last_error,
 creating, setting_up, ready, leased, cleaning, failed, discarding, held, aim_reserve, aim_spare, aim_until`

func scanSource(s scanner) (*store.SourceRecord, error) {
	var r store.SourceRecord
	var unreachable, paused, until int64
	c := &r.Counts
	err := s.Scan(&r.Key, &r.Name, &r.Digest, &r.Type, &r.Place, &r.Definition, &r.Failures, &r.Full, &unreachable, &paused, &r.LastError,
		&c.Creating, &c.SettingUp, &c.Ready, &c.Leased, &c.Cleaning, &c.Failed, &c.Discarding, &c.Held,
		&r.Target.Reserve, &r.Target.Spare, &until)
	r.Unreachable, r.Paused, r.Target.Until = record.Time(unreachable), record.Time(paused), record.Time(until)
	return &r, err
}

// known returns a copy of a record that the memory has.
func (t *tx) known(is func(*store.SourceRecord) bool) (*store.SourceRecord, error) {
	if t.readOnly {
		return nil, nil
	}
	m, err := t.memory()
	if err != nil {
		return nil, err
	}
	for _, r := range m.sources {
		if is(r) {
			return own(r), nil
		}
	}
	return nil, nil
}

// source reads one record by a condition. The waiting writes are settled first, so that it sees
// them.
func (t *tx) source(what, cond string, args ...any) (*store.SourceRecord, error) {
	if err := t.settle(); err != nil {
		return nil, err
	}
	r, err := scanSource(t.row("SELECT "+sourceColumns+" FROM sources WHERE "+cond, args...))
	if err != nil {
		return nil, t.read(err, what)
	}
	if !t.readOnly {
		t.s.memory.sources = append(t.s.memory.sources, own(r))
	}
	return r, nil
}

// own returns a copy that is its caller's.
func own(r *store.SourceRecord) *store.SourceRecord {
	c := *r
	c.Definition = bytes.Clone(r.Definition)
	return &c
}

// Source returns the record of a definition.
func (t *tx) Source(name, digest string) (*store.SourceRecord, error) {
	if r, err := t.known(func(r *store.SourceRecord) bool { return r.Name == name && r.Digest == digest }); r != nil || err != nil {
		return r, err
	}
	return t.source(name, "name = ? AND digest = ?", name, digest)
}

// SourceByKey returns the record with a key.
func (t *tx) SourceByKey(key int64) (*store.SourceRecord, error) {
	if r, err := t.known(func(r *store.SourceRecord) bool { return r.Key == key }); r != nil || err != nil {
		return r, err
	}
	return t.source(fmt.Sprint("source record ", key), "key = ?", key)
}

// Sources returns the records of a name, or all records by name; older definitions first.
func (t *tx) Sources(name string) ([]*store.SourceRecord, error) {
	if name == "" {
		if err := t.settle(); err != nil {
			return nil, err
		}
		return collect(t, scanSource, "SELECT "+sourceColumns+" FROM sources ORDER BY name, key")
	}
	if t.readOnly {
		return t.sourcesNamed(name)
	}
	m, err := t.memory()
	if err != nil {
		return nil, err
	}
	if !m.named[name] {
		all, err := t.sourcesNamed(name)
		if err != nil {
			return nil, err
		}
		m.sources = slices.DeleteFunc(m.sources, func(r *store.SourceRecord) bool { return r.Name == name })
		m.sources = append(m.sources, all...)
		if m.named == nil {
			m.named = map[string]bool{}
		}
		m.named[name] = true
	}
	var out []*store.SourceRecord
	for _, r := range m.sources { // each name's are in their order
		if r.Name == name {
			out = append(out, own(r))
		}
	}
	return out, nil
}

func (t *tx) sourcesNamed(name string) ([]*store.SourceRecord, error) {
	if err := t.settle(); err != nil {
		return nil, err
	}
	return collect(t, scanSource, "SELECT "+sourceColumns+" FROM sources WHERE name = ? ORDER BY key", name)
}

// SaveSource inserts or updates a record, but not its counts.
func (t *tx) SaveSource(r *store.SourceRecord) error {
	m, err := t.memory()
	if err != nil {
		return err
	}
	m.sources, m.named = nil, nil
	if r.Key != 0 {
		return t.update(r.Name, `UPDATE sources SET failures = ?, no_room = ?, unreachable = ?, paused = ?, last_error = ?, definition = ?,
 type = ?, place = ?, aim_reserve = ?, aim_spare = ?, aim_until = ? WHERE key = ?`,
			r.Failures, r.Full, record.Nanos(r.Unreachable), record.Nanos(r.Paused), r.LastError, r.Definition,
			r.Type, r.Place, r.Target.Reserve,
			r.Target.Spare, record.Nanos(r.Target.Until), r.Key)
	}
	res, err := t.write(`INSERT INTO sources (name, digest, type, place, definition, failures, no_room, unreachable, paused, last_error,
 aim_reserve, aim_spare, aim_until) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.Name, r.Digest, r.Type, r.Place, r.Definition, r.Failures, r.Full, record.Nanos(r.Unreachable),
		record.Nanos(r.Paused), r.LastError,
		r.Target.Reserve, r.Target.Spare, record.Nanos(r.Target.Until))
	if err != nil {
		return err
	}
	r.Key, err = res.LastInsertId()
	return err
}

// NextNumber counts the instances of a name, for ever upwards.
func (t *tx) NextNumber(name string) (int64, error) {
	if _, err := t.write(
		"INSERT INTO numbers (name, last) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET last = last + 1", name,
	); err != nil {
		return 0, err
	}
	return t.LastNumber(name)
}

// LastNumber is the last one that NextNumber gave; 0: none.
func (t *tx) LastNumber(name string) (n int64, err error) {
	err = t.row("SELECT coalesce(max(last), 0) FROM numbers WHERE name = ?", name).Scan(&n)
	return n, err
}

// Prune forgets events, and leases that ended, before a time.
func (t *tx) Prune(before time.Time) error {
	_, err := t.write("DELETE FROM events WHERE time < ?", record.Nanos(before))
	_, err2 := t.write("DELETE FROM leases WHERE ended > 0 AND ended < ?", record.Nanos(before))
	return errors.Join(err, err2)
}

// unique tells a name taken twice from other failures.
func unique(err error) bool {
	var code interface{ Code() int }
	return errors.As(err, &code) && code.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE
}
