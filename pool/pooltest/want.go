package pooltest

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Some users want what no place has: much memory, or a GPU. What is judged is that nothing is made
// for such a want while that is paused, and that it keeps nobody else from what can be made.

// wish is what a simulated request asks of a computer.
type wish struct {
	Memory int64 `json:"memory"`
	GPUs   int   `json:"gpus"`
}

// within tells whether who has room for o has room for w.
func (w wish) within(o wish) bool { return w.Memory <= o.Memory && w.GPUs <= o.GPUs }

// wishOf reads what the engine has recorded of one.
func wishOf(asks string, memory int64) (w wish) {
	if asks == "" {
		return wish{Memory: memory}
	}
	_ = json.Unmarshal([]byte(asks), &w)
	return w
}

// roomFor tells whether a place has what a request asks for now.
func (w *world) roomFor(spec compute.Spec) bool {
	return wish{spec.Memory, spec.GPUs} == wish{} || time.Since(w.sched.start) > w.greedy
}

// Note is the store's.
func (r *record) Note(name string) (string, error) { return r.Tx.Note(name) }

// SaveNote is the store's.
func (r *record) SaveNote(name, text string) error {
	err := r.Tx.SaveNote(name, text)
	if err == nil {
		r.did = append(r.did, noted{name, text})
	}
	return err
}

type noted struct{ name, text string }

// stuck tells whether a want is paused at the source of a record.
func (l *ledger) stuck(key int64, w wish, now time.Time) bool {
	if w == (wish{}) {
		return false
	}
	// a pool is where all below it are
	if r := l.recs[key]; r != nil && l.w.source(r.Name).cloud == nil {
		for _, c := range l.w.source(r.Name).Children {
			for k, o := range l.recs {
				if o.Name == c && !l.stuck(k, w, now) {
					return false
				}
			}
		}
		return true
	}
	var all []struct {
		Want   wish      `json:"want"`
		Paused time.Time `json:"paused"`
	}
	for name, text := range l.notes {
		if of, ok := strings.CutPrefix(name, "hitches/"); ok && of == itoa(key) {
			if err := json.Unmarshal([]byte(text), &all); err != nil {
				l.w.sched.fail("what is noted of %s: %v", name, err)
			}
		}
	}
	for _, h := range all {
		if h.Want.within(w) && h.Paused.After(now) {
			return true
		}
	}
	return false
}

// tried tells whether it is being found out for somebody else whether a want can be had at the
// source of a record, other than for who asks for as much or more.
func (l *ledger) tried(key int64, w, asks wish, before map[compute.ID]compute.State, now time.Time) bool {
	if w == (wish{}) || w.within(asks) {
		return false
	}
	// a pool is where all below it are
	if r := l.recs[key]; r != nil && l.w.source(r.Name).cloud == nil {
		for _, c := range l.w.source(r.Name).Children {
			for k, o := range l.recs {
				if o.Name == c && !l.stuck(k, w, now) && !l.tried(k, w, asks, before, now) {
					return false
				}
			}
		}
		return true
	}
	for id, i := range l.insts {
		if s := before[id]; i.SourceKey == key && (s == compute.Creating || s == compute.SettingUp) && wishOf(i.Booked.Asks, 0).within(w) {
			return true
		}
	}
	return false
}

func itoa(n int64) string { text, _ := json.Marshal(n); return string(text) }
