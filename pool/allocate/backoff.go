package allocate

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/demand"
	"github.com/hostler-project/hostler/store"
)

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
	compute.Backoff
}

func BackoffsNote(key int64) string { return fmt.Sprintf("hitches/%d", key) }

// ReadBackoffs returns the backoffs of a source's record.
func ReadBackoffs(tx Reader, key int64) (all []Backoff, err error) {
	text, err := tx.Note(BackoffsNote(key))
	if errors.Is(err, compute.ErrNotFound) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &all)
	}
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
