package sqlite_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestMove: who moves the records has them alone, and afterwards the file has nobody; a move that
// failed changes nothing, and one that may not have is done again.
func TestMove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	first := mustOpen(t, path)
	installation := first.Installation()
	err := first.Update(t.Context(), func(tx store.Tx) error {
		return tx.SaveSource(&store.SourceRecord{Name: "web", Digest: "1", Type: "fake", Definition: []byte{0, 1}})
	})
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	take := func(fail error) func(string, sqlite.Rows) error {
		return func(who string, rows sqlite.Rows) error {
			calls++
			if who != installation {
				t.Errorf("the installation is %q, and not %q", who, installation)
			}
			n := 0
			for row, err := range rows("sources", "name", "definition", "paused") {
				n++
				if name, _ := row[0].(string); err != nil || name != "web" || string(row[1].([]byte)) != "\x00\x01" || row[2] != int64(0) {
					t.Errorf("row %v, %v", row, err)
				}
			}
			if n != 1 {
				t.Errorf("%d sources", n)
			}
			for _, err := range rows("nothing", "x") {
				if err == nil {
					t.Error("there is a table that there is not")
				}
			}
			if _, err := sqlite.Open(context.Background(), path, sqlite.Options{}); !errors.Is(err, compute.ErrUnavailable) {
				t.Errorf("it was opened in the midst: %v", err)
			}
			return fail
		}
	}
	move := func(fail error) error { return sqlite.Move(t.Context(), path, "there", sqlite.Options{}, take(fail)) }
	if err := move(nil); !errors.Is(err, compute.ErrConflict) || calls != 0 {
		t.Errorf("moved while somebody uses it: %v, %d", err, calls)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no")
	if err := move(failed); !errors.Is(err, failed) {
		t.Errorf("err = %v; want error failed", err)
	}
	if err := mustOpen(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	for _, fail := range []error{compute.ErrLost, nil, nil} {
		if err := move(fail); !errors.Is(err, fail) {
			t.Errorf("err = %v; want error fail", err)
		}
		_, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if !errors.Is(err, compute.ErrConflict) || !strings.Contains(err.Error(), "moved to there") || compute.Hint(err) == "" {
			t.Errorf("it is opened: %v", err)
		}
	}
	if calls != 4 {
		t.Errorf("%d calls", calls)
	}
}
