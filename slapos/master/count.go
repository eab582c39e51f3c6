package master

import (
	"context"

	"github.com/hostler-project/hostler/slapos/master/ledger"
)

// Counts are the numbers of a master's records.
type Counts struct {
	Computers, Partitions, Busy int // of partitions, those that have an instance
	Shared, Waiting             int // instances that are shared; and those that have no place
}

// Counts counts.
func (m *Master) Counts(ctx context.Context) (c Counts, err error) {
	if err := m.Ledger.Refresh(ctx); err != nil {
		return c, err
	}
	mem, done := m.Ledger.RLock()
	defer done()
	for _, of := range mem.Computers {
		if of.Record != nil {
			c.Computers++
			c.Partitions += len(of.Record.Partitions)
		}
	}
	for _, n := range mem.ByID {
		switch {
		case n.Partition != "":
			c.Busy++
		case !ledger.Placed(n):
			c.Waiting++
		}
		if n.Shared {
			c.Shared++
		}
	}
	return c, nil
}
