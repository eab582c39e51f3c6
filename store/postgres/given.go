package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
)

// Given returns the living leases of the request with a mark, and the worker that gave them. It
// includes leases that the user has not been told of yet.
func (s *Store) Given(ctx context.Context, mark string) (leases []*compute.Lease, giver int64, err error) {
	err = s.View(ctx, func(t store.Tx) (err error) { leases, giver, err = t.(*tx).given(mark); return err })
	return leases, giver, err
}

func (t *tx) given(mark string) (leases []*compute.Lease, giver int64, err error) {
	if err := t.ready(); err != nil {
		return nil, 0, err
	}
	err = t.ask(query{"SELECT " + leaseColumns + ", giver FROM leases WHERE mark = $1 AND mark <> '' AND ended = 0 ORDER BY nth",
		[]any{encode(mark)},
		func(rows pgx.Rows) error {
			leases = nil
			for rows.Next() {
				l, err := scanLease(withMore{rows, &giver})
				if err != nil {
					return err
				}
				leases = append(leases, &l.Lease)
			}
			return rows.Err()
		}})
	t.told = t.told || len(leases) > 0
	return leases, giver, err
}

// withMore is a row with a column behind those that its reader knows.
type withMore struct {
	scanner
	more any
}

func (w withMore) Scan(to ...any) error { return w.scanner.Scan(append(to, w.more)...) }

// stamp notes on a lease which request it is for.
func (t *tx) stamp(l *lease) {
	mark, _, _ := strings.Cut(l.Labels[inventory.RequestLabel], " ")
	if mark == "" {
		return
	}
	l.mark, l.nth, l.giver = mark, int64(l.Nth), t.worker
	if l.nth > 0 {
		return
	}
	if t.nth == nil {
		t.nth = map[string]int64{}
	}
	t.nth[mark]++
	l.nth = t.nth[mark]
}
