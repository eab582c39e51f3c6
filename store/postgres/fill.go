package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store/record"
)

// Rows gives the named columns of all rows of a table of package sqlite's, as int64, string, []byte
// or nil. A row is good until the next.
type Rows func(table string, columns ...string) iter.Seq2[[]any, error]

// fills are the tables that are copied as they are: the other store has columns of the same names
// and meanings. A waiter ends with its process, so the queue is left behind.
var fills = []struct {
	table, from string
	columns     []string
}{
	{
		"sources", "sources",
		[]string{
			"key", "name", "digest", "type", "place", "definition", "failures", "no_room", "unreachable", "paused",
			"last_error", "aim_reserve", "aim_spare", "aim_until",
		},
	},
	{"counts", "sources", []string{"key", "creating", "setting_up", "ready", "leased", "cleaning", "failed", "discarding", "held"}},
	{"numbers", "numbers", []string{"name", "last"}},
	{
		"instances", "instances",
		[]string{
			"row", "id", "source", "source_key", "state", "since", "generation", "uses", "worker", "basis", "ready_at",
			"child", "detail", "created",
		},
	},
	{
		"leases", "leases",
		[]string{
			"row", "id", "name", "instance", "owner", "generation", "given", "used", "expires", "deadline", "ended",
			"why", "pid", "worker", "project", "share", "detail",
		},
	},
	{"rooms", "rooms", []string{"row", "source_key", "cores", "memory", "disk", "gpus"}},
	{"events", "events", []string{"id", "time", "kind", "source", "instance", "lease", "owner", "text", "data", "project"}},
	{"answers", "answers", []string{"owner", "key", "digest", "time", "status", "type", "body"}},
	{"tokens", "tokens", []string{"id", "hash", "used", "used_from", "data"}},
	{"audit", "audit", []string{"number", "time", "data"}},
	{"slap_records", "slap_records", []string{"kind", "key", "revision", "name", "place", "tree", "host", "computer", "data"}},
	{"slap_turn", "slap_turn", []string{"revision", "forgotten"}},
	{"meta", "(SELECT name, value FROM meta WHERE name LIKE '" + note + "%')", []string{"name", "value"}},
}

// Fill copies all records of another installation's store into an empty database, whole or not at
// all, and returns how many of each table. host is where its processes run: their leases end with
// them. A database in use, or with instances, leases or tokens, is refused: ErrConflict. One that
// has the same installation was filled before, and is left as it is. ErrLost means that it is
// unknown whether the copy was made; calling Fill again puts that right.
func Fill(ctx context.Context, address, installation, host string, opt Options, rows Rows) (map[string]int64, error) {
	s, err := Open(ctx, address, opt)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if s.installation == installation {
		return nil, nil
	}
	w, err := s.dial(ctx)
	if err != nil {
		return nil, s.openError(err)
	}
	defer w.close()
	tx, err := w.conn.Begin(ctx)
	if err != nil {
		return nil, s.openError(s.hide(err))
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	f := &filling{store: s, tx: tx, host: host, counts: map[string]int64{}}
	if err = f.empty(ctx); err == nil {
		err = f.copy(ctx, rows)
	}
	if err == nil {
		err = f.number(ctx, installation, rows)
	}
	var known *compute.Error
	if err != nil && !errors.As(err, &known) {
		return nil, s.openError(s.hide(err))
	} else if err != nil {
		return nil, err
	}
	if err := tx.Commit(ctx); broken(err) || errors.Is(err, context.Canceled) {
		return nil, &compute.Error{
			Op: "postgres", ID: compute.ID(s.Name()), Kind: compute.ErrLost, Err: errors.Join(errUnknown, s.hide(err)),
			Hint: "do it again: what was done is found",
		}
	} else if err != nil {
		return nil, s.openError(s.hide(err))
	}
	return f.counts, nil
}

// filling is a copy on its way.
type filling struct {
	store  *Store
	tx     pgx.Tx
	host   string
	dead   int64 // a worker number that is not in use
	counts map[string]int64
}

// empty checks that the database holds no records to lose, and that no process uses it.
func (f *filling) empty(ctx context.Context) error {
	// a journal may be long
	if _, err := f.tx.Exec(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
		return err
	}
	if _, err := f.tx.Exec(ctx, "LOCK TABLE turn, sources, instances, leases IN ACCESS EXCLUSIVE MODE"); err != nil {
		return err
	}
	busy := func(err error, hint string) error {
		return &compute.Error{Op: "postgres", ID: compute.ID(f.store.Name()), Kind: compute.ErrConflict, Err: err, Hint: hint}
	}
	var others int
	err := f.tx.QueryRow(ctx, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid::bigint = $1 AND objid::bigint <> $2 AND objsubid = 2
 AND granted AND mode = 'ExclusiveLock' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
		int64(uint32(f.store.class)), f.store.Worker()).Scan(&others)
	if err != nil {
		return err
	} else if others > 0 {
		return busy(fmt.Errorf("processes of hostler use it: %d", others), "stop them first, controllers too")
	}
	for _, table := range []string{"instances", "leases", "tokens"} {
		var n int64
		if err := f.tx.QueryRow(ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil {
			return err
		} else if n > 0 {
			return busy(fmt.Errorf("it has records already: %d %s", n, table), "give a new database: createdb -E UTF8 NAME")
		}
	}
	return f.tx.QueryRow(ctx, "SELECT nextval('workers')").Scan(&f.dead)
}

// copy brings the tables over.
func (f *filling) copy(ctx context.Context, rows Rows) error {
	for _, t := range slices.Backward(fills) {
		what := "DELETE FROM " + t.table
		if t.table == "meta" {
			what += " WHERE name LIKE '" + note + "%'"
		}
		if _, err := f.tx.Exec(ctx, what); err != nil {
			return err
		}
	}
	for _, t := range fills {
		next, stop := iter.Pull2(rows(t.from, t.columns...))
		n, err := f.tx.CopyFrom(ctx, pgx.Identifier{t.table}, t.columns, pgx.CopyFromFunc(func() ([]any, error) {
			row, err, ok := next()
			if !ok || err != nil {
				return nil, err
			}
			return f.row(t.table, t.columns, row)
		}))
		stop()
		if err != nil {
			return err
		}
		if f.counts[t.table] = n; t.table == "meta" || t.table == "counts" || t.table == "numbers" ||
			t.table == "rooms" || t.table == "slap_turn" {
			delete(f.counts, t.table) // they count nothing that people know
		}
	}
	return nil
}

// row is a row as this store has it.
func (f *filling) row(table string, columns []string, row []any) ([]any, error) {
	bound := false
	for n, v := range row {
		switch v := v.(type) {
		case string:
			// a blob that SQLite may give as text
			if columns[n] == "data" && (table == "audit" || table == "slap_records") {
				row[n] = []byte(v)
			} else {
				row[n] = encode(v)
			}
		case int64:
			if columns[n] == "worker" && v != 0 {
				row[n] = f.dead // the worker has ended
			}
			bound = bound || columns[n] == "pid" && v != 0
		}
	}
	if n := slices.Index(columns, "detail"); bound && n >= 0 {
		text, ok := row[n].(string)
		var t record.Terms
		if !ok {
			return nil, fmt.Errorf("%s: detail is a %T", table, row[n])
		} else if err := record.Unpack(text, &t); err != nil {
			return nil, err
		}
		t.Host = f.host
		row[n] = t.Text()
	}
	return row, nil
}

// number makes sure that no number is given again, and takes the installation over.
func (f *filling) number(ctx context.Context, installation string, rows Rows) error {
	lasts := map[string]string{"instance": "max(row) FROM instances", "lease": "max(row) FROM leases", "event": "max(id) FROM events"}
	for _, name := range slices.Sorted(maps.Keys(lasts)) {
		if _, err := f.tx.Exec(
			ctx,
			"UPDATE turn SET version = version + 1, "+name+" = greatest("+name+", coalesce((SELECT "+lasts[name]+"), 0))",
		); err != nil {
			return err
		}
	}
	// the row with the highest number may be gone
	for row, err := range rows("sqlite_sequence", "name", "seq") {
		if err != nil {
			return err
		}
		names := map[string]string{"instances": "instance", "events": "event"}
		if column := names[fmt.Sprint(row[0])]; column != "" {
			if _, err := f.tx.Exec(ctx, "UPDATE turn SET "+column+" = greatest("+column+", $1)", row[1]); err != nil {
				return err
			}
		}
	}
	for table, column := range map[string]string{"sources": "key", "audit": "number"} {
		if _, err := f.tx.Exec(
			ctx,
			"SELECT setval(pg_get_serial_sequence('"+table+"', '"+column+"'), (SELECT coalesce(max("+column+"), 0) + 1 FROM "+table+"), false)",
		); err != nil {
			return err
		}
	}
	_, err := f.tx.Exec(ctx, "INSERT INTO meta (name, value) VALUES ('installation', $1), ('format', $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
		installation, strconv.Itoa(schema))
	return err
}
