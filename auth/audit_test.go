package auth_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestLog: what was added is there when the file is opened again, the newest first, selected and
// page by page, until it is old.
func TestLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	open := func() *sqlite.Store {
		t.Helper()
		st, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	st := open()
	l := auth.NewLog(st, auth.AuditOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	begin := time.Now()
	const n = 10000
	for i := range n {
		l.Add(auth.AuditEntry{
			Time: begin.Add(time.Duration(i) * time.Second), Who: []string{"ann", "bob", ""}[i%3],
			Project: fmt.Sprintf("p%d", i%2), Act: "release", Thing: fmt.Sprint("web-", i), Outcome: "done",
			Detail: "a\nb",
		})
	}
	cancel()
	<-done
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	st = open()
	defer st.Close()
	l = auth.NewLog(st, auth.AuditOptions{Keep: time.Hour})
	var got []auth.AuditEntry
	for q := (auth.AuditQuery{Limit: 999}); ; q.Before = got[len(got)-1].ID {
		some, err := l.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(some) == 0 {
			break
		}
		got = append(got, some...)
	}
	if len(got) != n {
		t.Fatalf("%d entries", len(got))
	}
	for i, a := range got {
		if want := fmt.Sprint("web-", n-1-i); a.Thing != want || a.Detail != "a\nb" || i > 0 && a.ID >= got[i-1].ID {
			t.Fatalf("entry %d is %+v, not of %s", i, a, want)
		}
	}
	for _, test := range []struct {
		q    auth.AuditQuery
		want int
	}{
		{auth.AuditQuery{Who: "ann", Limit: n}, 3334},
		{auth.AuditQuery{Projects: []string{"p0"}, Who: "ann", Limit: n}, 1667},
		{auth.AuditQuery{Projects: []string{"p0", "p1"}, Limit: n}, 6667},
		{auth.AuditQuery{Projects: []string{}, Limit: n}, 0}, {auth.AuditQuery{Act: "hold", Limit: n}, 0},
		{auth.AuditQuery{Since: begin.Add(9990 * time.Second), Limit: n}, 10},
	} {
		if some, err := l.List(t.Context(), test.q); err != nil || len(some) != test.want {
			t.Errorf("%+v: len(some) = %d, err = %v; want no error and len(some) == test.want", test.q, len(some), err)
		}
	}
	l.Add(auth.AuditEntry{Time: time.Now().Add(-2 * time.Hour), Act: "old"})
	run := func() {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); l.Run(ctx) }()
		time.Sleep(50 * time.Millisecond)
		cancel()
		<-done
	}
	for limit := time.Now().Add(time.Minute); ; {
		run() // forgets what is old, and writes
		some, err := l.List(t.Context(), auth.AuditQuery{Act: "old", Limit: 1})
		if err != nil || time.Now().After(limit) {
			t.Fatalf("some = %v, err = %v; want no error and !time.Now().After(limit)", some, err)
		}
		if len(some) == 0 {
			break
		}
	}
}
