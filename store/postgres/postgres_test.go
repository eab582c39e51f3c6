package postgres_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/hostler-project/hostler/store/postgres"
	"github.com/hostler-project/hostler/store/postgres/pgtest"
	"github.com/hostler-project/hostler/store/storetest"
)

// server serves the tests that do nothing to it; errServer says why there is none.
var (
	server    *pgtest.Server
	errServer error
)

func TestMain(m *testing.M) {
	storetest.Child(open)
	// Each look at the counts is as many questions as there are sources; -rapid.checks still has
	// the last word.
	if f := flag.Lookup("rapid.checks"); f != nil {
		_ = f.Value.Set("25")
	}
	flag.Parse()
	server, errServer = pgtest.New(context.Background())
	if errServer != nil && !errors.Is(errServer, pgtest.ErrMissing) {
		fmt.Fprintln(os.Stderr, errServer)
		os.Exit(1)
	}
	code := m.Run()
	if server != nil {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

func open(place string) (storetest.Handle, error) {
	s, err := postgres.Open(context.Background(), place, postgres.Options{Grace: -1})
	if err != nil {
		return nil, err // not s: a typed nil is not nil
	}
	return s, nil
}

// place is a new database on the common server.
func place(t testing.TB) string {
	t.Helper()
	pgtest.Need(t, errServer)
	return server.Database(t)
}

func TestStore(t *testing.T) {
	storetest.Store(t, storetest.Options{New: place, Open: open, Patience: time.Minute})
}

// mustOpen opens a database, and closes it at the test's end.
func mustOpen(t testing.TB, place string, opt postgres.Options) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(context.Background(), place, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
