package postgres

import (
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// share distinguishes the leases of parts of an instance: the id; "" for a lease of all of it, or
// one that has ended.
func (l *lease) share() string {
	if l.Share == nil || !l.Ended.IsZero() {
		return ""
	}
	return encode(l.ID)
}

// room is the free part of an instance; nil: it is not looked for.
type room struct {
	row, source int64
	free        *compute.Resources
}

// SetRoom notes the free part of an instance that leases have parts of.
func (t *tx) SetRoom(i *compute.Instance, free *compute.Resources) error {
	if err := t.writing(); err != nil {
		return err
	}
	r := room{row: i.Row, source: i.SourceKey}
	if free != nil {
		r.free = new(*free)
	}
	t.rooms = append(t.rooms, r)
	return nil
}

// flushRooms writes the last note for each instance.
func (t *tx) flushRooms() (qs []query) {
	last := map[int64]int{}
	for n, r := range t.rooms {
		last[r.row] = n
	}
	for n, r := range t.rooms {
		switch {
		case last[r.row] != n:
		case r.free == nil:
			qs = append(qs, query{text: "DELETE FROM rooms WHERE row = $1", args: []any{r.row}})
		default:
			qs = append(qs, query{text: `INSERT INTO rooms (row, source_key, cores, memory, disk, gpus) VALUES ($1, $2, $3, $4, $5, $6)
 ON CONFLICT (row) DO UPDATE SET source_key = excluded.source_key, cores = excluded.cores, memory = excluded.memory, disk = excluded.disk, gpus = excluded.gpus`,
				args: []any{r.row, r.source, r.free.Micro(), r.free.Memory, r.free.Disk, r.free.GPUs}})
		}
	}
	t.rooms = nil
	return qs
}

// Rooms returns the instances of a source with so much free, the fullest first.
func (t *tx) Rooms(sourceKey int64, least compute.Resources, n int) (out []*compute.Instance, err error) {
	if err := t.ready(); err != nil {
		return nil, err
	}
	var is []*instance
	err = t.ask(collect(&is, scanInstance, "SELECT i."+strings.ReplaceAll(instanceColumns, ", ", ", i.")+" FROM rooms AS r JOIN instances AS i ON i.row = r.row"+
		" WHERE r.source_key = $1 AND r.cores >= $2 AND r.memory >= $3 AND r.disk >= $4 AND r.gpus >= $5 ORDER BY r.cores, r.memory, r.row"+limit(n),
		sourceKey, least.Micro(), least.Memory, least.Disk, least.GPUs))
	for _, i := range is {
		out = append(out, t.met(i).own())
	}
	return out, err
}
