package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// bare is what SQLite itself costs: one connection by database/sql that changes a row of the same
// file, durably, n times.
func bare(b *testing.B, path string) (run func(n int)) {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=synchronous(full)")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	ctx := context.Background()
	c, err := db.Conn(ctx)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	var stmts []*sql.Stmt
	for _, q := range []string{"BEGIN IMMEDIATE", "UPDATE leases SET used = ?, deadline = ? WHERE id = ?", "COMMIT"} {
		s, err := c.PrepareContext(ctx, q)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.Close() })
		stmts = append(stmts, s)
	}
	return func(n int) {
		for k := range n {
			for i, args := range [][]any{nil, {k, k + 1, "l-0"}, nil} {
				if _, err := stmts[i].ExecContext(ctx, args...); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}

// BenchmarkUpdate changes one indexed row of each caller's own, durably on return, and shows the
// cost of a call against that of a bare transaction, as x-bare. The two take turns, so that what
// else the machine does befalls both.
func BenchmarkUpdate(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "state.db")
			st := mustOpen(b, path)
			var ls []*compute.Lease
			for n := range callers {
				ls = append(
					ls,
					&compute.Lease{ID: fmt.Sprint("l-", n), Instance: compute.ID(fmt.Sprint("i-", n)), Expires: time.Unix(1e9, 0)},
				)
				if err := st.Update(context.Background(), func(tx store.Tx) error { return tx.InsertLease(ls[n]) }); err != nil {
					b.Fatal(err)
				}
			}
			floor := bare(b, path)
			floor(10)
			var bareTime time.Duration
			bareRuns := 0
			b.ResetTimer()
			for done := 0; done < b.N; {
				part := min(b.N-done, 50*callers)
				var wg sync.WaitGroup
				for n := range callers {
					l := ls[n]
					wg.Go(func() {
						for k := n; k < part; k += callers {
							l.Used = time.Unix(1e9, int64(done+k))
							l.Expires = l.Used.Add(time.Hour)
							if err := st.Update(context.Background(), func(tx store.Tx) error { return tx.SaveLease(l) }); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				done += part
				b.StopTimer()
				start := time.Now()
				floor(50)
				bareTime += time.Since(start)
				bareRuns += 50
				b.StartTimer()
			}
			b.StopTimer()
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/(float64(bareTime)/float64(bareRuns)), "x-bare")
		})
	}
}

// BenchmarkOpen opens a file that was used and left, and leaves it again, as a command does that
// finds nothing to do; x-bare is against a connection by database/sql that reads one row.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "state.db")
	st := mustOpen(b, path)
	for range 20 {
		err := st.Update(context.Background(), func(tx store.Tx) error { _, err := tx.Append(&compute.Event{Kind: "k"}); return err })
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := st.Leave(); err != nil {
		b.Fatal(err)
	}
	var floor time.Duration
	for b.Loop() {
		b.StopTimer()
		// Alone too: it reads the log in, and leaves it by being the second to go.
		keep, err := sqlite.Open(context.Background(), path, sqlite.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := keep.Leave(); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=synchronous(full)")
		if err != nil {
			b.Fatal(err)
		}
		var s string
		if err := db.QueryRow("SELECT value FROM meta").Scan(&s); err != nil {
			b.Fatal(err)
		}
		floor += time.Since(start)
		side, err := sqlite.Open(context.Background(), path, sqlite.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
		if err := side.Leave(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		st, err := sqlite.Open(context.Background(), path, sqlite.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := st.Leave(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed())/float64(floor), "x-bare")
	b.ReportMetric(float64(b.Elapsed()-floor)/float64(b.N)/1e6, "ms-beyond")
}
