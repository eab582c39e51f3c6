package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/record"
)

func scanSource(s scanner) (*store.SourceRecord, error) {
	var r store.SourceRecord
	var unreachable, paused, until int64
	c := &r.Counts
	err := s.Scan(&r.Key, &r.Name, &r.Digest, &r.Type, &r.Place, &r.Definition, &r.Failures, &r.Full, &unreachable, &paused, &r.LastError,
		&c.Creating, &c.SettingUp, &c.Ready, &c.Leased, &c.Cleaning, &c.Failed, &c.Discarding, &c.Held,
		&r.Target.Reserve, &r.Target.Spare, &until)
	r.Name, r.Digest, r.Type, r.Place, r.LastError = decode(r.Name), decode(r.Digest), decode(r.Type), decode(r.Place), decode(r.LastError)
	r.Unreachable, r.Paused, r.Target.Until = record.Time(unreachable), record.Time(paused), record.Time(until)
	return &r, err
}

// readSources asks for all records; there are as many as definitions.
func (t *tx) readSources() query {
	const q = `SELECT s.key, name, digest, type, place, definition, failures, no_room, unreachable, paused, last_error,
 creating, setting_up, ready, leased, cleaning, failed, discarding, held, aim_reserve, aim_spare, aim_until
 FROM sources s JOIN counts c ON c.key = s.key ORDER BY name, s.key`
	var all []*store.SourceRecord
	read := collect(&all, scanSource, q)
	return query{text: q, rows: func(rows pgx.Rows) error {
		err := read.rows(rows)
		if err == nil {
			t.m.sources, t.m.listed = all, true
		}
		return err
	}}
}

// list returns the records that memory has, after it has read them if it has to.
func (t *tx) list() ([]*store.SourceRecord, error) {
	if err := t.ready(); err != nil {
		return nil, err
	}
	if !t.m.listed {
		if err := t.ask(t.readSources()); err != nil {
			return nil, err
		}
	}
	return t.m.sources, nil
}

func (t *tx) source(what string, is func(*store.SourceRecord) bool) (*store.SourceRecord, error) {
	all, err := t.list()
	if err != nil {
		return nil, err
	}
	if n := slices.IndexFunc(all, is); n >= 0 {
		return own(all[n]), nil
	}
	return nil, absent(errNoRow, what)
}

// Source returns the record of a definition.
func (t *tx) Source(name, digest string) (*store.SourceRecord, error) {
	return t.source(name, func(r *store.SourceRecord) bool { return r.Name == name && r.Digest == digest })
}

// SourceByKey returns the record with a key.
func (t *tx) SourceByKey(key int64) (*store.SourceRecord, error) {
	return t.source(fmt.Sprint("source record ", key), func(r *store.SourceRecord) bool { return r.Key == key })
}

// Sources returns the records of a name, or all records by name; older definitions first.
func (t *tx) Sources(name string) (out []*store.SourceRecord, err error) {
	all, err := t.list()
	for _, r := range all {
		if name == "" || r.Name == name {
			out = append(out, own(r))
		}
	}
	return out, err
}

// SaveSource inserts or updates a record, but not its counts.
func (t *tx) SaveSource(r *store.SourceRecord) error {
	if err := t.writing(); err != nil {
		return err
	}
	if r.Key != 0 {
		err := t.ask(query{`UPDATE sources SET failures = $1, paused = $2, last_error = $3, definition = $4, type = $5, place = $6,
 aim_reserve = $7, aim_spare = $8, aim_until = $9, no_room = $10, unreachable = $11 WHERE key = $12 RETURNING key`,
			[]any{r.Failures, record.Nanos(r.Paused), encode(r.LastError), r.Definition, encode(r.Type), encode(r.Place),
				r.Target.Reserve, r.Target.Spare,
				record.Nanos(r.Target.Until), r.Full, record.Nanos(r.Unreachable), r.Key}, one(new(int64))})
		if err != nil {
			return absent(err, r.Name)
		}
		if now := t.m.source(func(o *store.SourceRecord) bool { return o.Key == r.Key }); now != nil {
			born := *now
			*now = *own(r)
			now.Key, now.Name, now.Digest, now.Counts = born.Key, born.Name, born.Digest, born.Counts
		}
		return nil
	}
	var key int64
	err := t.ask(query{`WITH s AS (INSERT INTO sources (name, digest, type, place, definition, failures, paused, last_error, aim_reserve,
 aim_spare, aim_until, no_room, unreachable) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING key)
 INSERT INTO counts (key) SELECT key FROM s RETURNING key`,
		[]any{encode(r.Name), encode(r.Digest), encode(r.Type), encode(r.Place), r.Definition, r.Failures,
			record.Nanos(r.Paused), encode(r.LastError),
			r.Target.Reserve, r.Target.Spare, record.Nanos(r.Target.Until), r.Full, record.Nanos(r.Unreachable)}, one(&key)})
	if err != nil {
		return err
	}
	r.Key = key
	if t.m.listed {
		fresh := own(r)
		fresh.Counts = inventory.Counts{}
		t.m.sources = append(t.m.sources, fresh)
		slices.SortStableFunc(t.m.sources, func(a, b *store.SourceRecord) int { return strings.Compare(encode(a.Name), encode(b.Name)) })
	}
	return nil
}

// NextNumber counts the instances of a name, for ever upwards.
func (t *tx) NextNumber(name string) (n int64, err error) {
	if err := t.writing(); err != nil {
		return 0, err
	}
	err = t.ask(query{"INSERT INTO numbers (name, last) VALUES ($1, 1) ON CONFLICT (name) DO UPDATE SET last = numbers.last + 1 RETURNING last",
		[]any{encode(name)}, one(&n)})
	return n, err
}

// LastNumber is the last one that NextNumber gave; 0: none.
func (t *tx) LastNumber(name string) (n int64, err error) {
	err = t.ask(query{"SELECT coalesce(max(last), 0) FROM numbers WHERE name = $1", []any{encode(name)}, one(&n)})
	return n, err
}
