package sqlite

import (
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// SetRoom notes the free part of an instance that leases have parts of.
func (t *tx) SetRoom(i *compute.Instance, free *compute.Resources) error {
	if free == nil {
		_, err := t.write("DELETE FROM rooms WHERE row = ?", i.Row)
		return err
	}
	_, err := t.write("INSERT OR REPLACE INTO rooms (row, source_key, cores, memory, disk, gpus) VALUES (?, ?, ?, ?, ?, ?)",
		i.Row, i.SourceKey, free.Micro(), free.Memory, free.Disk, free.GPUs)
	return err
}

// Rooms returns the instances of a source with so much free, the fullest first.
func (t *tx) Rooms(sourceKey int64, least compute.Resources, n int) ([]*compute.Instance, error) {
	return collect(t, t.scanInstance, "SELECT i."+strings.ReplaceAll(instanceColumns, ", ", ", i.")+" FROM rooms AS r "+
		"JOIN instances AS i ON i.row = r.row"+
		" WHERE r.source_key = ? AND r.cores >= ? AND r.memory >= ? AND r.disk >= ? AND r.gpus >= ? ORDER BY r.cores, "+
		"r.memory, r.row"+limit(n),
		sourceKey, least.Micro(), least.Memory, least.Disk, least.GPUs)
}
