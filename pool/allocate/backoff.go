package allocate

import (
	"cmp"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute/backoff"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/demand"
	"github.com/hostler-project/hostler/store"
)

var (
	// The time between two tries for room at a place that was full. A try may make a computer in
	// vain. A waiting request may learn this much later that there is room, unless this engine
	// freed it: that ends the pause.
	pauseFull = backoff.Exponential{First: 5 * time.Second, Most: time.Minute}
	// The pause of a source where making failed, after BreakAt failures in a row.
	pauseBroken = backoff.Exponential{First: 10 * time.Second, Most: PauseMost}
)

// NoRoom counts an answer that there is no room. Of several answers to requests made at once one is
// enough: then it reports false.
func NoRoom(b *inventory.Backoff, now time.Time, cause error) bool {
	if b.Paused.After(now) && (b.Failures != 0 || b.Full != 0) {
		return false
	}
	b.LastError, b.Failures, b.Full = fault.Message(cause), 0, b.Full+1
	b.Paused = now.Add(pauseFull.After(b.Full))
	return true
}

// FailedOnce counts a failure to create, and returns for how long nothing is made.
func FailedOnce(b *inventory.Backoff, now time.Time, cause error) (pause time.Duration) {
	b.LastError, b.Failures, b.Full = fault.Message(cause), b.Failures+1, 0
	if pause = pauseBroken.After(b.Failures - BreakAt + 1); pause > 0 {
		b.Paused = now.Add(pause)
	}
	return pause
}

const (
	// After breakAt failures to create in a row a source is paused, first for 10 seconds, then
	// twice as long each time up to pauseMost. Three: one failure is chance, two may be; a
	// paused source costs its users a wait, an unpaused one its owner a bill.
	BreakAt   = 3
	PauseMost = 10 * time.Minute
	// after so long a try keeps other requests from theirs no longer: the computer boots
	tryPatience = time.Minute
	// how long a ready instance is passed over after it was found misplaced
	ElsewherePause = time.Minute
)

// Backoff is why a want cannot be made of a source now. It is stored, in a note of the source.
type Backoff struct {
	Demand demand.Demand `json:"want"`
	inventory.Backoff
}

func BackoffsNote(key int64) string { return fmt.Sprintf("hitches/%d", key) }

// ReadBackoffs returns the backoffs of a source's record.
func ReadBackoffs(tx Reader, key int64) (all []Backoff, err error) {
	_, err = store.ReadNote(tx, BackoffsNote(key), &all)
	return all, err
}

// asRecord returns a source record with the failures of a want.
func asRecord(h *Backoff) *store.SourceRecord {
	r := &store.SourceRecord{Backoff: h.Backoff}
	r.LastError = cmp.Or(r.LastError, "it could not be made")
	return r
}

// Unreachable reports whether a source did not answer the last call, and away whether it is not
// to be asked again yet. Once the pause is over its ready instances are checked before use.
func Unreachable(r *store.SourceRecord) bool { return !r.Unreachable.IsZero() }

func UnreachableNow(r *store.SourceRecord, now time.Time) bool {
	return Unreachable(r) && r.Paused.After(now)
}
