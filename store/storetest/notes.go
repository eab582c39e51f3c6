package storetest

import (
	"maps"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

// notes: a part's text is there for other handles too, the last that was kept.
func notes(t *testing.T, r *rig) {
	keep := func(h Handle, name, text string) {
		update(t, h, func(tx store.Tx) error { return tx.SaveNote(name, text) })
	}
	other := r.open()
	keep(r, "one", "first")
	keep(r, "o\x00dd", "t\x00\xffext")
	keep(other, "one", "second")
	keep(r, "gone", "x")
	keep(other, "gone", "")
	keep(other, "never", "")
	keep(r, "list:a%_", "1")
	keep(other, "list:ab\x00", "2\x00")
	keep(r, "lisp:a", "3")
	keep(r, "list:gone", "")
	for prefix, want := range map[string]map[string]string{
		"list:": {"list:a%_": "1", "list:ab\x00": "2\x00"}, "list:a%": {"list:a%_": "1"},
		"list:ab\x00": {"list:ab\x00": "2\x00"}, "LIST:": {}, "none": {},
	} {
		view(t, other, func(tx store.Tx) error {
			got, err := tx.Notes(prefix)
			if err != nil || !maps.Equal(got, want) {
				t.Errorf("with %q begin %q, %v, want %q", prefix, got, err, want)
			}
			return nil
		})
	}
	for _, h := range []Handle{r, other} {
		view(t, h, func(tx store.Tx) error {
			for name, want := range map[string]string{"one": "second", "o\x00dd": "t\x00\xffext"} {
				if got, err := tx.Note(name); err != nil || got != want {
					t.Errorf("%q is %q, %v", name, got, err)
				}
			}
			for _, name := range []string{"gone", "never", "installation", ""} {
				_, err := tx.Note(name)
				is(t, name, err, compute.ErrNotFound)
			}
			return nil
		})
	}
}
