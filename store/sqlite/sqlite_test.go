package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/store/sqlite"
	"github.com/hostler-project/hostler/store/storetest"
)

func TestMain(m *testing.M) {
	storetest.Child(open)
	os.Exit(m.Run())
}

func open(place string) (storetest.Handle, error) {
	s, err := sqlite.Open(context.Background(), place, sqlite.Options{})
	if err != nil {
		return nil, err // not s: a typed nil is not nil
	}
	return s, nil
}

func TestStore(t *testing.T) {
	storetest.Store(t, storetest.Options{
		New:  func(t testing.TB) string { return filepath.Join(t.TempDir(), "state", "state.db") },
		Open: open,
	})
}

// mustOpen opens a state file that is closed at the test's end.
func mustOpen(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
