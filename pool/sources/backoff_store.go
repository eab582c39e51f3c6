package sources

import (
	"slices"
	"time"

	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

const backoffsMost = 16 // how many of a source are remembered

// SaveBackoffs stores backoffs. It leaves out those that are long over and, if there are too many,
// those that end soonest.
func SaveBackoffs(tx store.Tx, key int64, all []allocate.Backoff, now time.Time) error {
	all = slices.DeleteFunc(all, func(h allocate.Backoff) bool {
		return !h.Paused.IsZero() && now.Sub(h.Paused).Abs() > 2*allocate.PauseMost
	})
	if len(all) > backoffsMost {
		slices.SortStableFunc(all, func(a, b allocate.Backoff) int { return -a.Paused.Compare(b.Paused) })
		all = all[:backoffsMost]
	}
	if len(all) == 0 {
		return tx.SaveNote(allocate.BackoffsNote(key), "")
	}
	return store.WriteNote(tx, allocate.BackoffsNote(key), all)
}
