package postgres

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
)

// tx is a transaction on one session. An error of the database ends it, whatever its caller does
// with the error: PostgreSQL does nothing more in it.
//
// One of Update begins without the database, on the handle's memory. It is opened, with the turn
// taken, when something is asked that memory does not know; else all that it wrote goes to the
// server with the commit.
type tx struct {
	s        *session
	m        *memory // a View's is its own
	readOnly bool
	class    int32 // the store's
	worker   int64 // that writes
	began    bool  // on the server
	served   bool  // an answer came from memory
	moved    bool  // when it was opened, another had written since this handle's last
	writes   int
	err      error // of its use: the functions' changes are rolled back
	fate     error // of the connection, or errMoved: its functions have to run again
	// others write too: reads nearly always come along with the turn, and that is given away before
	// the disk has the commit
	together bool
	crowd    int  // functions that it runs
	told     bool // something durable was read, and is told

	// pending writes
	made    []*instance
	changed []*instance
	dropped []int64
	lent    []*lease
	kept    []*lease
	joins   []*inventory.Waiter
	leaves  []int64
	waits   []*inventory.Waiter // changed
	events  []compute.Event
	answers []store.Answer
	touched map[compute.ID]bool
	// so many leases were given to the request of a mark that do not say which of it they are
	nth    map[string]int64
	rooms  []room
	counts map[int64]*inventory.Counts
	marked map[any]bool // those of changed, kept
}

// errMoved ends a transaction that began on a memory which is not true any more.
var errMoved = errors.New("another controller has written meanwhile")

var errWrite = &compute.Error{Op: "state", Kind: compute.ErrInvalid, Err: errors.New("a write in a View")}

// fail keeps the first error.
func (t *tx) fail(err error) error {
	if err == nil || errors.Is(err, errNoRow) {
		return err
	}
	if name, ok := unique(err); ok {
		err = conflict(name, err)
	}
	if t.fate == nil && (errors.Is(err, errMoved) || errors.Is(err, errLost)) {
		t.fate = err
	}
	if t.err == nil {
		t.err = err
	}
	return err
}

// opening are the statements that begin a transaction on the server.
func (t *tx) opening() []query {
	if t.began {
		return nil
	}
	if t.readOnly {
		return []query{{text: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}}
	}
	take := query{text: "SELECT version, instance, lease, waiter, event FROM turn FOR UPDATE", rows: t.turn}
	if t.together {
		take.text = "SELECT version, instance, lease, waiter, event, set_config('synchronous_commit', 'off', true) FROM turn FOR UPDATE"
	}
	qs := []query{{text: "BEGIN"}, take}
	if t.m.valid && t.together {
		qs = append(qs, t.readChanges())
	}
	if !t.m.valid || t.together {
		// Nearly all that follows asks for these.
		qs = append(qs, t.readSources(), t.readQueue())
		if t.together {
			for _, key := range t.m.drawn {
				qs = append(qs, t.readReady(key, max(rivals, 2*t.crowd)))
			}
			t.m.drawn = nil
		}
	}
	return qs
}

// rivals is how many ready ones of each source that was drawn from lately come along with the turn,
// while others write too.
const rivals = 8

// turn is the answer to taking it.
func (t *tx) turn(rows pgx.Rows) error {
	var version int64
	var last numbers
	to := []any{&version, &last.instance, &last.lease, &last.waiter, &last.event}
	if t.together {
		to = append(to, new(string))
	}
	if err := one(to...)(rows); err != nil {
		return err
	}
	t.moved = t.m.version != version
	if t.m.valid && !t.moved {
		return nil
	}
	if t.served {
		return errMoved
	}
	if t.m.valid && t.together { // the others' changes come next
		t.m.version, t.m.last = version, last
		t.m.queued, t.m.listed, t.m.held = false, false, nil
		clear(t.m.ready)
		return nil
	}
	t.m.forget(version, last)
	return nil
}

// ask sends the pending writes and then queries, in one round trip. It opens the transaction first
// if needed.
func (t *tx) ask(qs ...query) error {
	if t.err != nil {
		return t.err
	}
	all := append(append(t.opening(), t.flush()...), qs...)
	if len(all) == 0 {
		return nil
	}
	t.began = true
	return t.fail(t.s.run(all...))
}

// open opens the transaction on the server.
func (t *tx) open() error {
	if t.began {
		return t.err
	}
	return t.ask()
}

// ready sees that memory can be used.
func (t *tx) ready() error {
	if t.err == nil && !t.m.valid {
		if err := t.open(); err != nil {
			return err
		}
	}
	t.served = t.served || !t.began
	return t.err
}

// writing sees that the transaction can write.
func (t *tx) writing() error {
	if t.readOnly {
		return t.fail(errWrite)
	}
	if err := t.ready(); err != nil {
		return err
	}
	t.writes++
	return nil
}

// collect is a question for all rows of a query.
func collect[T any](out *[]T, scan func(scanner) (T, error), q string, args ...any) query {
	return query{q, args, func(rows pgx.Rows) error {
		*out = nil
		for rows.Next() {
			v, err := scan(rows)
			if err != nil {
				return err
			}
			*out = append(*out, v)
		}
		return rows.Err()
	}}
}

// absent turns the absence of a row into ErrNotFound.
func absent(err error, what string) error {
	if errors.Is(err, errNoRow) {
		return &compute.Error{ID: compute.ID(what), Kind: compute.ErrNotFound}
	}
	return err
}

// mark notes that a record has to be written, and reports whether that is new.
func (t *tx) mark(record any) bool {
	if t.marked[record] {
		return false
	}
	if t.marked == nil {
		t.marked = map[any]bool{}
	}
	t.marked[record] = true
	return true
}

// where joins conditions. Each ? in them becomes the next parameter.
type where struct {
	text string
	args []any
}

func (w *where) and(cond string, args ...any) {
	if w.text == "" {
		w.text = " WHERE "
	} else {
		w.text += " AND "
	}
	for _, a := range args {
		w.args = append(w.args, a)
		cond = strings.Replace(cond, "?", "$"+strconv.Itoa(len(w.args)), 1)
	}
	w.text += cond
}

// among is a condition on a column that may have one of some values; nil: any.
func (w *where) among(column string, values []string) { w.amongOr(column, values, "") }

// amongOr wants one of some values in a column, or that a condition holds; no values, nil: any.
func (w *where) amongOr(column string, values []string, or string) {
	if values == nil {
		return
	}
	texts := make([]string, 0, len(values))
	for _, v := range values {
		texts = append(texts, encode(v))
	}
	cond := column + " = ANY (?::text[])"
	if or != "" {
		cond = "(" + cond + " OR " + or + ")"
	}
	w.and(cond, texts)
}

func limit(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" LIMIT %d", n)
}
