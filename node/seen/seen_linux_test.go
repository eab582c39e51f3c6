package seen_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/node/seen"
	"github.com/hostler-project/hostler/node/supervise"
	"github.com/hostler-project/hostler/slap"
	"github.com/hostler-project/hostler/slap/master"
	"github.com/hostler-project/hostler/store/sqlite"
)

func do(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lab is a master, a supervisor and partitions p and p-1.
type lab struct {
	*testing.T
	m     *master.Master
	sup   *supervise.Supervisor
	tell  *seen.Teller
	root  string
	now   time.Time
	posts atomic.Int64
	gone  atomic.Bool // the master does not know the method
}

var ids = []string{"p", "p-1"}

func newLab(t *testing.T) *lab {
	l := &lab{T: t, root: t.TempDir(), now: time.Now()}
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{Unsafe: true})
	do(t, err)
	t.Cleanup(func() { _ = st.Close() })
	l.m, err = master.New(t.Context(), master.Options{Store: st})
	do(t, err)
	c := &slap.Configuration{Computer: "C"}
	for _, id := range ids {
		c.Partitions = append(c.Partitions, slap.ConfiguredPartition{ID: id})
		do(t, os.MkdirAll(l.at(id, "etc/promise"), 0o750))
		do(t, os.MkdirAll(l.at(id, ".slapgrid/promise/result"), 0o750))
	}
	do(t, l.m.Format(t.Context(), master.Anybody, c))
	h := l.m.Handler(master.LegacyOptions{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.posts.Add(1); l.gone.Load() {
			http.NotFound(w, r)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	client, err := slap.NewClient(slap.Options{URL: srv.URL})
	do(t, err)
	t.Cleanup(client.Close)
	l.sup, err = supervise.New(supervise.Options{Dir: filepath.Join(t.TempDir(), "sup")})
	do(t, err)
	t.Cleanup(func() {
		_ = l.sup.Stop(context.Background(), "all")
		_ = l.sup.Close()
	})
	l.tell = &seen.Teller{Master: client, Supervisor: l.sup, Computer: "C", InstanceRoot: l.root, Now: func() time.Time { return l.now }}
	return l
}

func (l *lab) at(name ...string) string { return filepath.Join(append([]string{l.root}, name...)...) }

// run starts a program in a group.
func (l *lab) run(group, name, script string) {
	l.Helper()
	_, err := l.sup.Put(l.Context(), supervise.Group{Name: group, Programs: []supervise.Program{{Name: name, Command: []string{"/bin/sh", "-c", script}, Dir: "/", Env: []string{"PATH=/bin:/usr/bin"}}}})
	do(l, err)
	do(l, l.sup.Start(l.Context(), group))
}

// promised leaves a promise of a partition and its result.
func (l *lab) promised(id, title, message string, failed bool) {
	l.Helper()
	do(l, os.WriteFile(l.at(id, "etc/promise", title), []byte("#!/bin/sh\n"), 0o750))
	do(l, os.WriteFile(l.at(id, ".slapgrid/promise/result", title+".status.json"), fmt.Appendf(nil,
		`{"title": %q, "name": %q, "path": "x", "execution-time": 0.2, "result": {"type": "Test Result", "failed": %t, "date": "2026-11-20T07:08:05+0000", "message": %q}}`, title, title, failed, message), 0o640))
}

// told says whether something is to be told, and the master to take it.
func (l *lab) told(want bool) {
	l.Helper()
	if told, err := l.tell.Tell(l.Context(), ids); told != want || err != nil {
		l.Errorf("told %t, %v; want %t", told, err, want)
	}
}

func (l *lab) report() []slap.ReportPartition {
	l.Helper()
	n, err := l.m.NodeReport(l.Context(), master.Anybody, "C")
	do(l, err)
	return n.Report.Partitions
}

// TestTell tells what runs when it has changed, and from time to time; and a master that does not want to know not before an hour is over.
func TestTell(t *testing.T) {
	l := newLab(t)
	l.run("p", "server-on-watch", "sleep 1000 & exec sleep 1000")
	l.run("p-1-socat", "tcp", "exec sleep 1000")
	l.run("other", "x", "exec sleep 1000")
	l.promised("p", "check-url", "no answer", true)
	l.promised("p", "gone", "", true)
	do(t, os.Remove(l.at("p/etc/promise/gone"))) // its result is there still
	l.promised("p-1", "long", strings.Repeat("é", 3000), false)
	l.told(true)
	all := l.report()
	if len(all) != 2 || len(all[0].Processes) != 1 || len(all[1].Processes) != 1 || len(all[0].Promises) != 1 || len(all[1].Promises) != 1 {
		t.Fatalf("%+v", all)
	}
	if s := all[0].Processes[0]; s.Name != "server-on-watch" || s.State != "RUNNING" || s.PID == 0 || s.Started.IsZero() || s.Memory == 0 {
		t.Errorf("%+v", s)
	}
	if s := all[1].Processes[0]; s.Name != "socat:tcp" {
		t.Errorf("%+v", s)
	}
	if s := all[0].Promises[0]; s != (slap.ReportPromise{Name: "check-url", Failed: true, Text: "no answer", At: time.Date(2026, 11, 20, 7, 8, 5, 0, time.UTC)}) {
		t.Errorf("%+v", s)
	}
	if text := all[1].Promises[0].Text; text != strings.Repeat("é", 1000) {
		t.Errorf("%d bytes", len(text))
	}
	if n, err := l.tell.Report(t.Context(), nil); err != nil || len(n.Partitions) != 2 || n.Partitions[1].ID != "p-1" {
		t.Errorf("%+v, %v", n, err)
	}
	l.told(false)
	l.promised("p-1", "long", "kept otherwise", false) // how it is kept is no news
	l.told(false)
	l.promised("p", "check-url", "", false)
	l.told(true)
	do(t, l.sup.Stop(t.Context(), "p"))
	l.told(true)
	if s := l.report()[0].Processes[0]; s.State != "STOPPED" || s.PID != 0 || s.Memory != 0 {
		t.Errorf("%+v", s)
	}
	l.told(false)
	l.now = l.now.Add(6 * time.Minute)
	l.told(true)

	l.gone.Store(true)
	l.now = l.now.Add(6 * time.Minute)
	l.told(false)
	l.gone.Store(false)
	posts := l.posts.Load()
	l.now = l.now.Add(59 * time.Minute)
	if l.told(false); l.posts.Load() != posts {
		t.Error("it was asked again within an hour")
	}
	l.now = l.now.Add(2 * time.Minute)
	l.told(true)
}
