package sqlite_test

import (
	"maps"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestData: what an event says of itself is read as it was written, whatever its letters. Small
// data is written and read without the library of JSON.
func TestData(t *testing.T) {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for _, data := range []map[string]string{
		nil,
		{"rests_on": "12"},
		{"": ""},
		{"a": ""},
		{"": "a"},
		{"key": `":"`},
		{`":"`: "value"},
		{"key": "with space"},
		{"key": "quote \" and \\ and line\n"},
		{"A": "B"},
		{"key": "ä€"},
		{"a": "1", "b": "2"},
		{"a": `","b":"2`},
		{"a": `"}`},
		{`{"`: "b"},
	} {
		var id int64
		err := st.Update(t.Context(), func(tx store.Tx) (err error) {
			id, err = tx.Append(&compute.Event{Kind: "told", Data: data})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []*compute.Event
		err = st.View(t.Context(), func(tx store.Tx) (err error) {
			got, err = tx.Events(inventory.EventQuery{After: id - 1})
			return err
		})
		if err != nil || len(got) != 1 || !maps.Equal(got[0].Data, data) {
			t.Errorf("%q is read as %+v: %v", data, got, err)
		}
	}
}
