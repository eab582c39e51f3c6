package postgres

import (
	"maps"
	"slices"

	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store/record"
)

// flush turns the pending writes into statements: one for each kind of change, however many there
// are of it. A statement that frees a name comes before one that may take it.
func (t *tx) flush() (qs []query) {
	add := func(text string, args ...any) { qs = append(qs, query{text: text, args: args}) }
	if len(t.dropped) > 0 {
		add("DELETE FROM instances WHERE row = ANY ($1::bigint[])", t.dropped)
	}
	// The simple form of one is worth its lines: it costs the server a third.
	if len(t.changed) == 1 {
		i := t.changed[0]
		add(`UPDATE instances SET state = $2, since = $3, generation = $4, uses = $5, worker = $6, basis = $7, ready_at = $8, detail = $9 WHERE row = $1`,
			i.Row, string(i.State), record.Nanos(i.Since), i.Generation, i.Uses, i.Worker, i.Basis, record.Nanos(i.ReadyAt), i.detail)
	} else if len(t.changed) > 0 {
		c := columns(t.changed)
		add(`UPDATE instances AS i SET state = u.state, since = u.since, generation = u.generation, uses = u.uses, worker = u.worker, basis = u.basis,
 ready_at = u.ready_at, detail = u.detail
 FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[])
 AS u (row, state, since, generation, uses, worker, basis, ready_at, detail) WHERE i.row = u.row`,
			c.row, c.state, c.since, c.generation, c.uses, c.worker, c.basis, c.readyAt, c.detail)
	}
	if len(t.made) > 0 {
		c := columns(t.made)
		add(`INSERT INTO instances (row, state, since, generation, uses, worker, basis, ready_at, detail, id, source, source_key, child, created)
 SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[],
 $10::text[], $11::text[], $12::bigint[], $13::text[], $14::bigint[])`,
			c.row, c.state, c.since, c.generation, c.uses, c.worker, c.basis, c.readyAt, c.detail, c.id, c.source, c.sourceKey, c.child, c.created)
	}
	qs = append(qs, t.flushLeases()...)
	qs = append(qs, t.flushRooms()...)
	if len(t.leaves) > 0 {
		add("DELETE FROM waiters WHERE id = ANY ($1::bigint[])", t.leaves)
	}
	for _, w := range t.joins {
		add("INSERT INTO waiters (id, source, wants, count, owner, worker, since, project, detail) VALUES ($1, $2, coalesce($3::bigint[], '{}'), $4, $5, $6, $7, $8, $9)",
			w.ID, encode(w.Source), w.Wants, w.Count, encode(w.Owner), w.Worker, record.Nanos(w.Since),
			encode(w.Project), record.AskedOf(w).Text())
	}
	for _, w := range t.waits {
		add("UPDATE waiters SET detail = $1, wants = coalesce($2::bigint[], '{}') WHERE id = $3", record.AskedOf(w).Text(), w.Wants, w.ID)
	}
	if len(t.events) > 0 {
		qs = append(qs, t.flushEvents())
	}
	qs = append(qs, t.flushAnswers()...)
	for _, key := range slices.Sorted(maps.Keys(t.counts)) {
		if c := t.counts[key]; *c != (inventory.Counts{}) {
			add(`UPDATE counts SET creating = creating + $1, setting_up = setting_up + $2, ready = ready + $3, leased = leased + $4, cleaning = cleaning + $5,
 failed = failed + $6, discarding = discarding + $7, held = held + $8 WHERE key = $9`,
				c.Creating, c.SettingUp, c.Ready, c.Leased, c.Cleaning, c.Failed, c.Discarding, c.Held, key)
		}
	}
	t.dropped, t.changed, t.made, t.lent, t.kept, t.leaves, t.joins, t.waits, t.events = nil, nil, nil, nil, nil, nil, nil, nil, nil
	clear(t.counts)
	clear(t.marked)
	return qs
}

// instanceArrays are the columns of some records.
type instanceArrays struct {
	row, since, generation, uses, worker, basis, readyAt, sourceKey, created []int64
	state, detail, id, source, child                                         []string
}

func columns(is []*instance) (c instanceArrays) {
	for _, i := range is {
		c.row = append(c.row, i.Row)
		c.state = append(c.state, string(i.State))
		c.since = append(c.since, record.Nanos(i.Since))
		c.generation = append(c.generation, i.Generation)
		c.uses = append(c.uses, int64(i.Uses))
		c.worker = append(c.worker, i.Worker)
		c.basis = append(c.basis, i.Basis)
		c.readyAt = append(c.readyAt, record.Nanos(i.ReadyAt))
		c.detail = append(c.detail, i.detail)
		c.id = append(c.id, encode(i.ID))
		c.source = append(c.source, encode(i.Source))
		c.sourceKey = append(c.sourceKey, i.SourceKey)
		c.child = append(c.child, encode(i.Child))
		c.created = append(c.created, record.Nanos(i.Created))
	}
	return c
}

// flushLeases makes the statements for changed and new leases: one row by itself, several by
// arrays.
func (t *tx) flushLeases() (qs []query) {
	if len(t.kept) == 1 {
		l := t.kept[0]
		qs = append(qs, query{text: "UPDATE leases SET used = $2, expires = $3, deadline = $4, ended = $5, why = $6, worker = $7, detail = $8 WHERE row = $1",
			args: []any{l.Row, record.Nanos(l.Used), record.Nanos(l.Expires), record.Nanos(l.Deadline()),
				record.Nanos(l.Ended), encode(l.Why), l.Worker, record.TermsOf(&l.Lease).Text()}})
	} else if len(t.kept) > 0 {
		c := leaseColumnsOf(t.kept)
		qs = append(qs, query{text: `UPDATE leases AS l SET used = u.used, expires = u.expires, deadline = u.deadline, ended = u.ended, why = u.why,
 worker = u.worker, detail = u.detail
 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[], $8::text[])
 AS u (row, used, expires, deadline, ended, why, worker, detail) WHERE l.row = u.row`,
			args: []any{c.row, c.used, c.expires, c.deadline, c.ended, c.why, c.worker, c.detail}})
	}
	if len(t.lent) == 1 {
		l := t.lent[0]
		qs = append(qs, query{text: `INSERT INTO leases (row, used, expires, deadline, ended, why, worker, detail, id, name, instance, owner, generation, given, pid, share, project,
 mark, nth, giver) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`,
			args: []any{l.Row, record.Nanos(l.Used), record.Nanos(l.Expires), record.Nanos(l.Deadline()),
				record.Nanos(l.Ended), encode(l.Why),
				l.Worker, record.TermsOf(&l.Lease).Text(), encode(l.ID),
				encode(l.Name), encode(l.Instance), encode(l.Owner), l.Generation, record.Nanos(l.Given), l.For.PID, l.share(),
				encode(l.Project), encode(l.mark), l.nth, l.giver}})
	} else if len(t.lent) > 0 {
		c := leaseColumnsOf(t.lent)
		qs = append(qs, query{text: `INSERT INTO leases (row, used, expires, deadline, ended, why, worker, detail, id, name, instance, owner, generation, given, pid, share, project,
 mark, nth, giver) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[], $8::text[], $9::text[], $10::text[],
 $11::text[], $12::text[], $13::bigint[], $14::bigint[], $15::bigint[], $16::text[], $17::text[], $18::text[], $19::bigint[], $20::bigint[])`,
			args: []any{c.row, c.used, c.expires, c.deadline, c.ended, c.why, c.worker, c.detail, c.id, c.name,
				c.instance, c.owner, c.generation, c.given, c.pid, c.share, c.project,
				c.mark, c.nth, c.giver}})
	}
	return qs
}

// leaseArrays are the columns of some leases.
type leaseArrays struct {
	row, used, expires, deadline, ended, worker, generation, given, pid, nth, giver []int64
	why, detail, id, name, instance, owner, share, project, mark                    []string
}

func leaseColumnsOf(ls []*lease) (c leaseArrays) {
	for _, l := range ls {
		c.row = append(c.row, l.Row)
		c.used = append(c.used, record.Nanos(l.Used))
		c.expires = append(c.expires, record.Nanos(l.Expires))
		c.deadline = append(c.deadline, record.Nanos(l.Deadline()))
		c.ended = append(c.ended, record.Nanos(l.Ended))
		c.why = append(c.why, encode(l.Why))
		c.worker = append(c.worker, l.Worker)
		c.detail = append(c.detail, record.TermsOf(&l.Lease).Text())
		c.id = append(c.id, encode(l.ID))
		c.name = append(c.name, encode(l.Name))
		c.instance = append(c.instance, encode(l.Instance))
		c.owner = append(c.owner, encode(l.Owner))
		c.generation = append(c.generation, l.Generation)
		c.given = append(c.given, record.Nanos(l.Given))
		c.pid = append(c.pid, int64(l.For.PID))
		c.share = append(c.share, l.share())
		c.project = append(c.project, encode(l.Project))
		c.mark = append(c.mark, encode(l.mark))
		c.nth = append(c.nth, l.nth)
		c.giver = append(c.giver, l.giver)
	}
	return c
}

func (t *tx) flushEvents() query {
	if len(t.events) == 1 {
		e := &t.events[0]
		return query{text: "INSERT INTO events (id, time, kind, source, instance, lease, owner, text, data, project) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
			args: []any{
				e.ID, record.Nanos(e.Time), encode(e.Kind), encode(e.Source), encode(e.Instance), encode(e.Lease),
				encode(e.Owner), encode(e.Text), record.Pack(e.Data), encode(e.Project),
			}}
	}
	n := len(t.events)
	ids, times := make([]int64, n), make([]int64, n)
	kind, source, inst, lent, owner, text, data, project := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for k, e := range t.events {
		ids[k], times[k], kind[k], source[k], inst[k] = e.ID, record.Nanos(e.Time), encode(e.Kind), encode(e.Source),
			string(encode(e.Instance))
		lent[k], owner[k], text[k], data[k], project[k] = encode(e.Lease), encode(e.Owner), encode(e.Text),
			record.Pack(e.Data), encode(e.Project)
	}
	return query{text: `INSERT INTO events (id, time, kind, source, instance, lease, owner, text, data, project)
 SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])`,
		args: []any{ids, times, kind, source, inst, lent, owner, text, data, project}}
}
