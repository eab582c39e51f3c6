package report_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/node/report"
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

// lab is a node of ours: a master behind HTTP, a supervisor, and partitions p0, p1, ... of users of their own where we are root.
type lab struct {
	*testing.T
	pass   *report.Pass
	master *master.Master
	sup    *supervise.Supervisor
	root   string
	work   string // everybody's

	refused func(r *http.Request) bool // what the master answers with 503

	mu    sync.Mutex
	lines []string // of the log
	calls []string // that the master had, but for reads
}

const firstUser = 61500

func newLab(t *testing.T, partitions int) *lab {
	l := &lab{T: t}
	// A test's own directory is its user's alone.
	work, err := os.MkdirTemp("", "hostler-report-")
	do(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(work) })
	do(t, os.Chmod(work, 0o755))
	l.work, l.root = work, filepath.Join(work, "inst")
	do(t, os.Mkdir(l.root, 0o755))

	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{Unsafe: true})
	do(t, err)
	t.Cleanup(func() { _ = st.Close() })
	l.master, err = master.New(t.Context(), master.Options{Store: st, Computer: "C"})
	do(t, err)
	h := l.master.Handler(master.LegacyOptions{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_ = r.ParseForm()
			l.mu.Lock()
			l.calls = append(l.calls, strings.TrimSpace(r.URL.Path[1:]+" "+r.PostForm.Get("computer_partition_id")))
			l.mu.Unlock()
			if l.refused != nil && l.refused(r) {
				http.Error(w, "not now", http.StatusServiceUnavailable)
				return
			}
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	c := &slap.Configuration{Computer: "C"}
	for i := range partitions {
		id := fmt.Sprint("p", i)
		c.Partitions = append(c.Partitions, slap.ConfiguredPartition{ID: id, Interface: "tap", Addresses: []slap.ConfiguredAddress{{IP: fmt.Sprint("10.0.0.", i), Netmask: "255.255.255.255"}}})
		do(t, os.Mkdir(l.at(id), 0o750))
		l.give(id, id)
	}
	do(t, l.master.Format(t.Context(), master.Anybody, c))
	client, err := slap.NewClient(slap.Options{URL: srv.URL})
	do(t, err)
	t.Cleanup(client.Close)
	l.sup, err = supervise.New(supervise.Options{Dir: filepath.Join(t.TempDir(), "sup")})
	do(t, err)
	t.Cleanup(func() {
		_ = l.sup.Stop(context.Background(), "all")
		_ = l.sup.Close()
	})
	l.pass = &report.Pass{Master: client, Supervisor: l.sup, Computer: "C", InstanceRoot: l.root, Timeout: 30 * time.Second, Log: func(line string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lines = append(l.lines, line)
	}}
	return l
}

func (l *lab) at(name ...string) string { return filepath.Join(append([]string{l.root}, name...)...) }

// give gives a file below the root to the user of a partition.
func (l *lab) give(id string, name ...string) {
	l.Helper()
	if os.Getuid() != 0 {
		return
	}
	var n int
	_, err := fmt.Sscanf(id, "p%d", &n)
	do(l, err)
	do(l, os.Lchown(l.at(name...), firstUser+n, firstUser+n))
}

// put writes a file of a partition, with its directories.
func (l *lab) put(id, name, text string, mode os.FileMode) {
	l.Helper()
	up := id
	for part := range strings.SplitSeq(filepath.Dir(name), "/") {
		up = filepath.Join(up, part)
		if err := os.Mkdir(l.at(up), 0o750); err == nil {
			l.give(id, up)
		}
	}
	do(l, os.WriteFile(l.at(id, name), []byte(text), mode))
	do(l, os.Chmod(l.at(id, name), mode))
	l.give(id, id, name)
}

// ours writes a file below the root that is the node's.
func (l *lab) ours(name, text string) {
	l.Helper()
	do(l, os.MkdirAll(filepath.Dir(l.at(name)), 0o755))
	do(l, os.WriteFile(l.at(name), []byte(text), 0o644))
}

// ask asks for an instance, by a user or, of is not "", by the one in that partition.
func (l *lab) ask(title, of, state string) {
	l.Helper()
	q := slap.Request{Title: title, Release: "demo", State: state}
	if of != "" {
		q.Computer, q.Partition = "C", of
	}
	_, err := l.master.Request(l.Context(), master.Anybody, &q)
	do(l, err)
}

// run makes a pass, of which so many partitions must fail.
func (l *lab) run(failed int) {
	l.Helper()
	l.mu.Lock()
	l.lines, l.calls = nil, nil
	l.mu.Unlock()
	if out, err := l.pass.Run(l.Context()); out.Failed != failed || err != nil {
		l.Fatalf("%+v, %v; want %d\n%s", out, err, failed, l.log())
	}
}

func (l *lab) log() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// told are the calls that the last pass made.
func (l *lab) told() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.calls, ", ")
}

// logs fails the test where the last pass's log lacks a text.
func (l *lab) logs(texts ...string) {
	l.Helper()
	for _, text := range texts {
		if log := l.log(); !strings.Contains(log, text) {
			l.Errorf("the log lacks %q:\n%s", text, log)
		}
	}
}

// there fails the test where files below the root are not there; gone where they are.
func (l *lab) there(names ...string) {
	l.Helper()
	for _, name := range names {
		if _, err := os.Lstat(l.at(name)); err != nil {
			l.Error(err)
		}
	}
}

func (l *lab) gone(names ...string) {
	l.Helper()
	for _, name := range names {
		if _, err := os.Lstat(l.at(name)); !errors.Is(err, os.ErrNotExist) {
			l.Errorf("%s is there still (%v)", name, err)
		}
	}
}

// used are the movements that the master was told, as RESOURCE of REFERENCE is QUANTITY.
func (l *lab) used() (all []string) {
	l.Helper()
	records, err := l.master.Usage(l.Context(), master.Anybody, "C", 100)
	do(l, err)
	for _, r := range records {
		journal, err := slap.ParseUsage(r.Report)
		do(l, err)
		for _, t := range journal {
			for _, m := range t.Movements {
				all = append(all, fmt.Sprintf("%s of %s is %s", m.Resource, m.Reference, m.Quantity))
			}
		}
	}
	return all
}

// error is what the master was told of the instance in a partition.
func (l *lab) error(id string) string {
	l.Helper()
	c, err := l.master.View(l.Context(), master.Anybody, "C")
	do(l, err)
	if in := c.At[id]; in != nil && in.Said != nil && in.Said.Error {
		return in.Said.Message
	}
	return ""
}

func (l *lab) fifo(name string) { do(l, unix.Mkfifo(l.at(name), 0o666)) }
