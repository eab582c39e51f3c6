package postgres

import (
	"github.com/jackc/pgx/v5"

	"github.com/hostler-project/hostler/compute"
)

// While several handles write in turns, each tells the others which instances a transaction has
// changed. So they forget no more than these; else each would read its own writes anew, under the
// turn. A handle that misses some of the writes since its last look forgets all. The table is not
// in the server's log: after a crash it is empty.
const (
	// instances in one transaction's list; a larger change has no list
	changesMost = 1000
	changesKept = 256 // transactions
)

// rivalry is for how many transactions, after one before which another handle has written, the next
// are taken to be so too: to be wrong costs a round trip then, and the other way round the whole
// transaction.
const rivalry = 4

// touch notes that an instance or its lease is changed.
func (t *tx) touch(id compute.ID) {
	if t.touched == nil {
		t.touched = map[compute.ID]bool{}
	}
	t.touched[id] = true
}

// readChanges asks what others have changed since this handle's memory was true, and makes it true
// again.
func (t *tx) readChanges() query {
	known := t.m.version
	return query{"SELECT names FROM changes WHERE version > $1", []any{known}, func(rows pgx.Rows) error {
		var found int64
		var names, all []string
		for ; rows.Next(); found++ {
			if err := rows.Scan(&names); err != nil {
				return err
			}
			all = append(all, names...)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if found != t.m.version-known {
			t.m.forget(t.m.version, t.m.last)
			return nil
		}
		for _, n := range all {
			t.m.drop(decode(compute.ID(n)))
		}
		return nil
	}}
}

// tellChanges is the statement that lists a transaction's changes for other handles. Now and then
// another one deletes old lists.
func (t *tx) tellChanges(version int64) (qs []query) {
	if len(t.touched) > changesMost {
		return nil
	}
	names := make([]string, 0, len(t.touched))
	for id := range t.touched {
		names = append(names, string(encode(id)))
	}
	qs = append(qs, query{text: "INSERT INTO changes (version, names) VALUES ($1, $2)", args: []any{version, names}})
	if version%changesKept == 0 {
		qs = append(qs, query{text: "DELETE FROM changes WHERE version <= $1", args: []any{version - changesKept}})
	}
	return qs
}

// flushed is a transaction that is durable only when all before it are. Transactions of rivals give
// the turn away before they are on the disk, and are acknowledged when this is: so several share a
// sync of the server's.
func (n *session) flushed() query {
	return query{"SELECT set_config('synchronous_commit', $1, true), pg_logical_emit_message(true, 'hostler', '')", []any{n.level}, drain}
}

// behind asks whether something that was committed may not be on the disk yet.
func behind(out *bool) query {
	return query{text: "SELECT pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn()", rows: one(out)}
}
