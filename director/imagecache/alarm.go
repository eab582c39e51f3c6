package imagecache

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

// The subjects of alarms. An alarm asks a person to look.
const (
	AlarmStopped = "stopped" // the loop cannot start with this configuration
	// nothing is done, as what was seen is not plausible or could not be read
	AlarmSuspended  = "suspended"
	AlarmHeld       = "held"       // ejections wait for a person's permission
	AlarmQuarantine = "quarantine" // a node is left alone for good
)

// Alarm is an alarm that is raised now.
type Alarm struct {
	What  string    `json:"what"`
	Text  string    `json:"text"` // why, as it is now
	Since time.Time `json:"since"`
}

// Alarms returns the raised alarms of a store, by subject. Nodes in quarantine are not among them:
// Flights returns those.
func Alarms(ctx context.Context, s store.Transactor) (out []Alarm, err error) {
	err = records{s}.view(ctx, func(tx store.Tx) error {
		stand, err := readAlarms(tx)
		for _, what := range slices.Sorted(maps.Keys(stand)) {
			out = append(out, stand[what])
		}
		return err
	})
	return out, err
}

// Raise records that an alarm is raised or, with an empty text, that it is over. The journal has
// its begin and its end, once for all processes on the store together.
func Raise(ctx context.Context, store store.Transactor, what, text string) error {
	return records{store}.raise(ctx, time.Now().UTC(), map[string]string{what: text})
}

func readAlarms(tx store.Tx) (map[string]Alarm, error) {
	stand := map[string]Alarm{}
	_, err := store.ReadNote(tx, alarmsNote, &stand)
	return stand, err
}

// raise does that for several subjects at once: texts has their texts, or "".
func (b records) raise(ctx context.Context, now time.Time, texts map[string]string) error {
	differs := func(stand map[string]Alarm) bool {
		for what, text := range texts {
			if stand[what].Text != text {
				return true
			}
		}
		return false
	}
	change := false
	err := b.view(ctx, func(tx store.Tx) error {
		stand, err := readAlarms(tx)
		change = differs(stand)
		return err
	})
	if err != nil || !change {
		return err
	}
	return b.update(ctx, func(tx store.Tx) error {
		stand, err := readAlarms(tx)
		if err != nil || !differs(stand) {
			return err
		}
		for _, what := range slices.Sorted(maps.Keys(texts)) {
			old, stood := stand[what]
			e := compute.Event{Time: now, Text: texts[what], Data: map[string]string{"alarm": what}}
			switch {
			case e.Text == "" && !stood:
				continue
			case e.Text == "":
				e.Kind, e.Text = "alarm-over", old.Text
				delete(stand, what)
			case stood: // it is told once
				old.Text = e.Text
				stand[what] = old
				continue
			default:
				e.Kind = "alarm"
				stand[what] = Alarm{what, e.Text, now}
			}
			if _, err := tx.Append(&e); err != nil {
				return err
			}
		}
		return store.WriteNote(tx, alarmsNote, stand)
	})
}

// alarms raises and ends alarms by a round's report. A suspended round does not know what is held
// back. A dry run raises none.
func (l *Loop) alarms(ctx context.Context, r *Report) {
	if r.DryRun || ctx.Err() != nil {
		return
	}
	texts := map[string]string{AlarmSuspended: r.Suspended, AlarmStopped: ""}
	if r.Suspended == "" {
		texts[AlarmHeld] = r.Held
	}
	if err := l.book.raise(ctx, r.Time, texts); err != nil && ctx.Err() == nil {
		l.opt.Log.Warn("an alarm could not be recorded", "err", err)
	}
}
