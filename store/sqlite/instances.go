package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/hostler-project/hostler/compute"
)

const instanceColumns = `row, id, source, source_key, state, since, generation, uses, worker, basis, ready_at, retry, attempts, resume,
 wanted, child, reason, provider_id, address, facts, phases, created`

func (t *tx) scanInstance(s scanner) (*compute.Instance, error) {
	var i compute.Instance
	var since, readyAt, retry, created int64
	var facts, phases string
	err := s.Scan(&i.Row, &i.ID, &i.Source, &i.SourceKey, &i.State, &since, &i.Generation, &i.Uses, &i.Worker, &i.Basis, &readyAt, &retry,
		&i.Attempts, &i.Resume, &i.Wanted, &i.Child, &i.Reason, &i.ProviderID, &i.Address, &facts, &phases, &created)
	if err != nil {
		return nil, err
	}
	i.Since, i.ReadyAt, i.Retry, i.Created = instant(since), instant(readyAt), instant(retry), instant(created)
	if err := errors.Join(unpack(facts, &i.Facts), scanPhases(phases, &i.Phases)); err != nil {
		return nil, fmt.Errorf("record of %s: %w", i.ID, err)
	}
	t.know(i.Row, i.State)
	return &i, nil
}

// Phases are four durations in nanoseconds; "" when none is known, as for most of an instance's hand-outs nothing is measured.
func packPhases(p compute.Phases) string {
	if p == (compute.Phases{}) {
		return ""
	}
	return fmt.Sprintf("%d %d %d %d", p.Wait, p.Create, p.Connect, p.SetUp)
}

func scanPhases(s string, p *compute.Phases) error {
	if s == "" {
		return nil
	}
	_, err := fmt.Sscanf(s, "%d %d %d %d", (*int64)(&p.Wait), (*int64)(&p.Create), (*int64)(&p.Connect), (*int64)(&p.SetUp))
	return err
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

// Instances returns those that the query selects, oldest record first.
func (t *tx) Instances(q compute.InstanceQuery) ([]*compute.Instance, error) {
	var w where
	if q.SourceKey != 0 {
		w.and("source_key = ?", q.SourceKey)
	}
	if q.Busy {
		w.and("state IN ('creating', 'setting-up', 'cleaning', 'discarding')")
	}
	if len(q.States) > 0 {
		// The names are constants of ours; written out, they let SQLite use the partial indexes.
		var names []string
		for _, s := range q.States {
			names = append(names, "'"+string(s)+"'")
		}
		w.and("state IN (" + strings.Join(names, ", ") + ")")
	}
	if q.Child != "" {
		w.and("child <> '' AND child = ?", string(q.Child))
	}
	if q.After != 0 {
		w.and("row > ?", q.After)
	}
	return collect(t, t.scanInstance, "SELECT "+instanceColumns+" FROM instances"+w.text+" ORDER BY row"+limit(q.Limit), w.args...)
}

// SaveInstance inserts or updates a record.
func (t *tx) SaveInstance(i *compute.Instance) error {
	if i.Row != 0 {
		t.count(i, i.State)
		err := t.update(string(i.ID), `UPDATE instances SET state = ?, since = ?, generation = ?, uses = ?, worker = ?, basis = ?, ready_at = ?, retry = ?,
 attempts = ?, resume = ?, wanted = ?, child = ?, reason = ?, provider_id = ?, address = ?, facts = ?, phases = ? WHERE row = ?`,
			string(i.State), nanos(i.Since), i.Generation, i.Uses, i.Worker, i.Basis, nanos(i.ReadyAt), nanos(i.Retry), i.Attempts, i.Resume,
			i.Wanted, string(i.Child), i.Reason, i.ProviderID, i.Address, pack(i.Facts), packPhases(i.Phases), i.Row)
		if err != nil {
			t.sources = nil
			delete(t.states, i.Row)
		}
		return err
	}
	// A name that is there must be an answer to the caller, not a failed write that takes the transaction with it.
	if _, err := t.Instance(i.ID); err == nil {
		return &compute.Error{ID: i.ID, Kind: compute.ErrConflict, Err: errors.New("an instance of this name exists")}
	} else if !errors.Is(err, compute.ErrNotFound) {
		return err
	}
	r, err := t.write(`INSERT INTO instances (id, source, source_key, state, since, generation, uses, worker, basis, ready_at, retry,
 attempts, resume, wanted, child, reason, provider_id, address, facts, phases, created)
 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		string(i.ID), i.Source, i.SourceKey, string(i.State), nanos(i.Since), i.Generation, i.Uses, i.Worker, i.Basis, nanos(i.ReadyAt),
		nanos(i.Retry), i.Attempts, i.Resume, i.Wanted, string(i.Child), i.Reason, i.ProviderID, i.Address, pack(i.Facts), packPhases(i.Phases),
		nanos(i.Created))
	if err != nil {
		return err
	}
	if i.Row, err = r.LastInsertId(); err == nil {
		t.know(i.Row, "")
		t.count(i, i.State)
	}
	return err
}

// know notes the state of a row, "" for none, as this transaction read or wrote it.
func (t *tx) know(row int64, s compute.State) {
	if t.readOnly {
		return
	}
	if t.states == nil {
		t.states = map[int64]compute.State{}
	}
	t.states[row] = s
}

// count keeps the counts of sources read before as the triggers keep those of the rows. What the record says of its state is its caller's, who
// may have read it long ago; where this transaction has not seen the row, the sources are read again.
func (t *tx) count(i *compute.Instance, to compute.State) {
	from, ok := t.states[i.Row]
	if !ok {
		t.sources = nil
	}
	for _, r := range t.sources {
		if r.Key == i.SourceKey {
			add(&r.Counts, from, -1)
			add(&r.Counts, to, 1)
		}
	}
	t.know(i.Row, to)
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
	t.count(i, "")
	_, err := t.write("DELETE FROM instances WHERE row = ?", i.Row)
	return err
}

const sourceColumns = `key, name, digest, type, place, definition, failures, paused, last_error,
 creating, setting_up, ready, leased, cleaning, failed, discarding, held`

func scanSource(s scanner) (*compute.SourceRecord, error) {
	var r compute.SourceRecord
	var paused int64
	c := &r.Counts
	err := s.Scan(&r.Key, &r.Name, &r.Digest, &r.Type, &r.Place, &r.Definition, &r.Failures, &paused, &r.LastError,
		&c.Creating, &c.SettingUp, &c.Ready, &c.Leased, &c.Cleaning, &c.Failed, &c.Discarding, &c.Held)
	r.Paused = instant(paused)
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
	return collect(t, scanSource, "SELECT "+sourceColumns+" FROM sources ORDER BY name, key")
}

// SourcesNamed returns the records of a name, older definitions first.
func (t *tx) SourcesNamed(name string) ([]*compute.SourceRecord, error) {
	return collect(t, scanSource, "SELECT "+sourceColumns+" FROM sources WHERE name = ? ORDER BY key", name)
}

// SaveSource inserts or updates a record, but not its counts, which the triggers keep.
func (t *tx) SaveSource(r *compute.SourceRecord) error {
	t.sources = nil
	if r.Key != 0 {
		return t.update(r.Name, "UPDATE sources SET failures = ?, paused = ?, last_error = ?, definition = ?, type = ?, place = ? WHERE key = ?",
			r.Failures, nanos(r.Paused), r.LastError, r.Definition, r.Type, r.Place, r.Key)
	}
	res, err := t.write("INSERT INTO sources (name, digest, type, place, definition, failures, paused, last_error) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		r.Name, r.Digest, r.Type, r.Place, r.Definition, r.Failures, nanos(r.Paused), r.LastError)
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
