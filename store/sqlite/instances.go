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
)

const instanceColumns = "row, id, source, source_key, state, since, generation, uses, worker, basis, ready_at, child, detail, created"

func (t *tx) scanInstance(s scanner) (*compute.Instance, error) {
	var i compute.Instance
	var since, readyAt, created int64
	var text string
	err := s.Scan(&i.Row, &i.ID, &i.Source, &i.SourceKey, &i.State, &since, &i.Generation, &i.Uses, &i.Worker, &i.Basis, &readyAt, &i.Child,
		&text, &created)
	if err != nil {
		return nil, err
	}
	i.Since, i.ReadyAt, i.Created = instant(since), instant(readyAt), instant(created)
	d, err := t.s.detail(text)
	if err != nil {
		return nil, fmt.Errorf("record of %s: %w", i.ID, err)
	}
	d.give(&i)
	t.know(i.Row, known{i.State, text})
	return &i, nil
}

// Instance returns the record of a name.
func (t *tx) Instance(id compute.ID) (*compute.Instance, error) {
	i, err := t.scanInstance(t.row("SELECT "+instanceColumns+" FROM instances WHERE id = ?", string(id)))
	return i, t.read(err, string(id))
}

// Pick returns ready instances, oldest record first. Nobody else writes meanwhile, so nobody else can pick them.
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

// moving is for queries of what is not at rest. SQLite would rather read all records, to have them in order.
const moving = " FROM instances INDEXED BY instances_moving"

// Instances returns those that the query selects, oldest record first.
func (t *tx) Instances(q compute.InstanceQuery) ([]*compute.Instance, error) {
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
		// The names are constants of ours; written out, and with the index's own condition, they let SQLite use the partial indexes.
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

// SaveInstance inserts or updates a record. Its name, source and child are as they were when it was made.
func (t *tx) SaveInstance(i *compute.Instance) error {
	if i.Row != 0 {
		text, err := t.s.packDetail(i, t.seen[i.Row].detail)
		if err != nil {
			return err
		}
		was, err := t.before(i)
		if err != nil {
			return err
		}
		err = t.update(string(i.ID), `UPDATE instances SET state = ?, since = ?, generation = ?, uses = ?, worker = ?, basis = ?, ready_at = ?,
 detail = ? WHERE row = ?`,
			string(i.State), nanos(i.Since), i.Generation, i.Uses, i.Worker, i.Basis, nanos(i.ReadyAt), text, i.Row)
		if err == nil {
			t.count(i, was, known{i.State, text})
		}
		return err
	}
	// A name that is there must be an answer to the caller, not a failed write that takes the transaction with it.
	if _, err := t.Instance(i.ID); err == nil {
		return &compute.Error{ID: i.ID, Kind: compute.ErrConflict, Err: errors.New("an instance of this name exists")}
	} else if !errors.Is(err, compute.ErrNotFound) {
		return err
	}
	text, err := t.s.packDetail(i, "")
	if err != nil {
		return err
	}
	r, err := t.write(`INSERT INTO instances (id, source, source_key, state, since, generation, uses, worker, basis, ready_at, child, detail, created)
 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		string(i.ID), i.Source, i.SourceKey, string(i.State), nanos(i.Since), i.Generation, i.Uses, i.Worker, i.Basis, nanos(i.ReadyAt),
		string(i.Child), text, nanos(i.Created))
	if err != nil {
		return err
	}
	if i.Row, err = r.LastInsertId(); err == nil {
		t.count(i, known{}, known{i.State, text})
	}
	return err
}

// known is what a transaction has read or written of a row; the zero value: there was none.
type known struct {
	state  compute.State
	detail string
}

// know notes a row as this transaction read or wrote it.
func (t *tx) know(row int64, k known) {
	if t.readOnly {
		return
	}
	if t.seen == nil {
		t.seen = map[int64]known{}
	}
	t.seen[row] = k
}

// before is what stands in a row that is about to change. What the record itself says of its state is its caller's, who may have read it long ago.
func (t *tx) before(i *compute.Instance) (known, error) {
	if k, ok := t.seen[i.Row]; ok {
		return k, nil
	}
	var k known
	err := t.row("SELECT state, detail FROM instances WHERE row = ?", i.Row).Scan(&k.state, &k.detail)
	return k, t.read(err, string(i.ID))
}

// count notes a change of a row for the counts of its source, in the records read before and in what settle will write.
func (t *tx) count(i *compute.Instance, from, to known) {
	t.know(i.Row, to)
	if from.state == to.state {
		return
	}
	for _, r := range t.sources {
		if r.Key == i.SourceKey {
			add(&r.Counts, from.state, -1)
			add(&r.Counts, to.state, 1)
		}
	}
	if t.changes == nil {
		t.changes = map[int64]*compute.Counts{}
	}
	c := t.changes[i.SourceKey]
	if c == nil {
		c = &compute.Counts{}
		t.changes[i.SourceKey] = c
	}
	add(c, from.state, -1)
	add(c, to.state, 1)
}

// settle writes what a transaction keeps back to write once for all its functions: the events, and what the changes of instances are for the
// counts of their sources. It is done before it ends, and before anything is read that this would change.
func (t *tx) settle() error {
	if err := t.writeEvents(); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(t.changes)) {
		c := t.changes[key]
		delete(t.changes, key)
		if *c == (compute.Counts{}) {
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

func add(c *compute.Counts, s compute.State, n int) {
	switch s {
	case compute.Creating:
		c.Creating += n
	case compute.SettingUp:
		c.SettingUp += n
	case compute.Ready:
		c.Ready += n
	case compute.Leased:
		c.Leased += n
	case compute.Cleaning:
		c.Cleaning += n
	case compute.Failed:
		c.Failed += n
	case compute.Discarding:
		c.Discarding += n
	case compute.Held:
		c.Held += n
	}
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
	t.count(i, was, known{})
	return nil
}

const sourceColumns = `key, name, digest, type, place, definition, failures, paused, last_error,
 creating, setting_up, ready, leased, cleaning, failed, discarding, held, aim_reserve, aim_spare, aim_until`

func scanSource(s scanner) (*compute.SourceRecord, error) {
	var r compute.SourceRecord
	var paused, until int64
	c := &r.Counts
	err := s.Scan(&r.Key, &r.Name, &r.Digest, &r.Type, &r.Place, &r.Definition, &r.Failures, &paused, &r.LastError,
		&c.Creating, &c.SettingUp, &c.Ready, &c.Leased, &c.Cleaning, &c.Failed, &c.Discarding, &c.Held,
		&r.Aim.Reserve, &r.Aim.Spare, &until)
	r.Paused, r.Aim.Until = instant(paused), instant(until)
	return &r, err
}

// known returns a copy of a record read before in this transaction.
func (t *tx) known(is func(*compute.SourceRecord) bool) *compute.SourceRecord {
	for _, r := range t.sources {
		if is(r) {
			return own(r)
		}
	}
	return nil
}

func (t *tx) source(what, cond string, args ...any) (*compute.SourceRecord, error) {
	if err := t.settle(); err != nil {
		return nil, err
	}
	r, err := scanSource(t.row("SELECT "+sourceColumns+" FROM sources WHERE "+cond, args...))
	if err != nil {
		return nil, t.read(err, what)
	}
	t.sources = append(t.sources, own(r))
	return r, nil
}

// own returns a copy that is its caller's.
func own(r *compute.SourceRecord) *compute.SourceRecord {
	c := *r
	c.Definition = bytes.Clone(r.Definition)
	return &c
}

// Source returns the record of a definition.
func (t *tx) Source(name, digest string) (*compute.SourceRecord, error) {
	if r := t.known(func(r *compute.SourceRecord) bool { return r.Name == name && r.Digest == digest }); r != nil {
		return r, nil
	}
	return t.source(name, "name = ? AND digest = ?", name, digest)
}

// SourceByKey returns the record with a key.
func (t *tx) SourceByKey(key int64) (*compute.SourceRecord, error) {
	if r := t.known(func(r *compute.SourceRecord) bool { return r.Key == key }); r != nil {
		return r, nil
	}
	return t.source(fmt.Sprint("source record ", key), "key = ?", key)
}

// Sources returns all records by name, older definitions first.
func (t *tx) Sources() ([]*compute.SourceRecord, error) {
	if err := t.settle(); err != nil {
		return nil, err
	}
	return collect(t, scanSource, "SELECT "+sourceColumns+" FROM sources ORDER BY name, key")
}

// SourcesNamed returns the records of a name, older definitions first.
func (t *tx) SourcesNamed(name string) ([]*compute.SourceRecord, error) {
	if err := t.settle(); err != nil {
		return nil, err
	}
	return collect(t, scanSource, "SELECT "+sourceColumns+" FROM sources WHERE name = ? ORDER BY key", name)
}

// SaveSource inserts or updates a record, but not its counts.
func (t *tx) SaveSource(r *compute.SourceRecord) error {
	t.sources = nil
	if r.Key != 0 {
		return t.update(r.Name, `UPDATE sources SET failures = ?, paused = ?, last_error = ?, definition = ?, type = ?, place = ?,
 aim_reserve = ?, aim_spare = ?, aim_until = ? WHERE key = ?`,
			r.Failures, nanos(r.Paused), r.LastError, r.Definition, r.Type, r.Place, r.Aim.Reserve, r.Aim.Spare, nanos(r.Aim.Until), r.Key)
	}
	res, err := t.write(`INSERT INTO sources (name, digest, type, place, definition, failures, paused, last_error, aim_reserve, aim_spare, aim_until)
 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.Name, r.Digest, r.Type, r.Place, r.Definition, r.Failures, nanos(r.Paused), r.LastError, r.Aim.Reserve, r.Aim.Spare, nanos(r.Aim.Until))
	if err != nil {
		return err
	}
	r.Key, err = res.LastInsertId()
	return err
}

// NextNumber counts the instances of a name, for ever upwards.
func (t *tx) NextNumber(name string) (int64, error) {
	if _, err := t.write("INSERT INTO numbers (name, last) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET last = last + 1", name); err != nil {
		return 0, err
	}
	var n int64
	err := t.row("SELECT last FROM numbers WHERE name = ?", name).Scan(&n)
	return n, err
}

// Prune forgets events, and leases that ended, before a time.
func (t *tx) Prune(before time.Time) error {
	_, err := t.write("DELETE FROM events WHERE time < ?", nanos(before))
	_, err2 := t.write("DELETE FROM leases WHERE ended > 0 AND ended < ?", nanos(before))
	return errors.Join(err, err2)
}

// unique tells a name taken twice from other failures.
func unique(err error) bool {
	var code interface{ Code() int }
	return errors.As(err, &code) && code.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE
}
