package node_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/node"
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

// lab is a computer of ours: a master behind HTTP, a supervisor, and partitions p0, p1, ... of users of their own where we are root.
type lab struct {
	testing.TB
	agent  *node.Agent
	client *slap.Client
	master *master.Master
	sup    *supervise.Supervisor
	opt    supervise.Options
	srv    *httptest.Server
	root   string
	work   string

	mu     sync.Mutex
	lines  []string
	calls  []string // that the master had, but for reads
	refuse func(path string) bool
}

const firstUser = 61600

func newLab(t testing.TB, partitions int) *lab {
	l := &lab{TB: t}
	work, err := os.MkdirTemp("", "hostler-node-") // a test's own directory is its user's alone
	do(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(work) })
	do(t, os.Chmod(work, 0o755))
	l.work, l.root = work, filepath.Join(work, "inst")
	do(t, os.MkdirAll(l.root, 0o755))
	do(t, os.MkdirAll(filepath.Join(work, "soft"), 0o755))
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{Unsafe: true})
	do(t, err)
	t.Cleanup(func() { _ = st.Close() })
	l.master, err = master.New(t.Context(), master.Options{Store: st, Computer: "C"})
	do(t, err)
	h := l.master.Handler(master.LegacyOptions{Ending: t.Context().Done()})
	l.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path[1:]
		if r.Method == http.MethodPost {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			form, _ := url.ParseQuery(string(body))
			l.mu.Lock()
			l.calls = append(l.calls, strings.TrimSpace(path+" "+form.Get("computer_partition_id")))
			l.mu.Unlock()
		}
		if f := l.refuse; f != nil && f(path) {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(l.srv.Close)
	c := &slap.Configuration{Computer: "C"}
	for i := range partitions {
		id := fmt.Sprint("p", i)
		c.Partitions = append(c.Partitions, slap.ConfiguredPartition{ID: id, Interface: "tap", Addresses: []slap.ConfiguredAddress{{IP: fmt.Sprint("10.0.0.", i), Netmask: "255.255.255.255"}}})
		do(t, os.Mkdir(l.at(id), 0o750))
		if os.Getuid() == 0 {
			do(t, os.Chown(l.at(id), firstUser+i, firstUser+i))
		}
	}
	do(t, l.master.Format(t.Context(), master.Anybody, c))
	l.client, err = slap.NewClient(slap.Options{URL: l.srv.URL})
	do(t, err)
	t.Cleanup(l.client.Close)
	l.opt = supervise.Options{Dir: filepath.Join(t.TempDir(), "sup"), First: 20 * time.Millisecond, Last: 100 * time.Millisecond, Settled: time.Hour}
	l.sup, err = supervise.New(l.opt)
	do(t, err)
	t.Cleanup(func() {
		_ = l.sup.Stop(context.Background(), "all")
		_ = l.sup.Close()
	})
	note := func(format string, args ...any) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lines = append(l.lines, fmt.Sprintf(format, args...))
	}
	l.agent = &node.Agent{Master: l.client, Supervisor: l.sup, Computer: "C", MasterURL: l.srv.URL, InstanceRoot: l.root, SoftwareRoot: filepath.Join(work, "soft"), Periodicity: 24 * time.Hour,
		Keep: supervise.Again, Environ: os.Environ(), Limit: time.Minute, Say: note, Warn: note}
	return l
}

func (l *lab) at(name ...string) string { return filepath.Join(append([]string{l.root}, name...)...) }

// release makes one: files by their names, programs where they begin with #!.
func (l *lab) release(url string, files map[string]string) string {
	l.Helper()
	sum := md5.Sum([]byte(url))
	dir := filepath.Join(l.agent.SoftwareRoot, hex.EncodeToString(sum[:]))
	for name, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		do(l, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		do(l, os.WriteFile(filepath.Join(dir, name), []byte(text), mode))
	}
	do(l, l.client.Supply(l.Context(), url, "C", slap.Available))
	return dir
}

// light makes a release whose program is a script of the shell.
func (l *lab) light(url, script string) string {
	return l.release(url, map[string]string{".hostler-release": "{}", ".completed": "now", "instance": "#!/bin/sh\n" + script})
}

// service is a script's lines that leave a service.
func service(name, script string) string {
	return "mkdir -p etc/service\ncat >etc/service/" + name + " <<'END'\n#!/bin/sh\n" + script + "\nEND\nchmod 755 etc/service/" + name + "\n"
}

func (l *lab) ask(title, release, state string, parameters slap.Dictionary) {
	l.Helper()
	_, err := l.master.Request(l.Context(), master.Anybody, &slap.Request{Title: title, Release: release, State: state, Parameters: parameters})
	do(l, err)
}

// run makes a pass that ends with a status.
func (l *lab) run(status int, o node.Options) node.Outcome {
	l.Helper()
	l.mu.Lock()
	l.lines, l.calls = nil, nil
	l.mu.Unlock()
	out, err := l.agent.Instances(l.Context(), o)
	if err != nil || out.Status() != status {
		l.Fatalf("status %d, %v; want %d\n%s\n%s", out.Status(), err, status, out.Report(), l.log())
	}
	return out
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

func (l *lab) tells(want string) {
	l.Helper()
	if got := l.told(); got != want {
		l.Errorf("the master was told\n%s\nand is to be told\n%s", got, want)
	}
}

func (l *lab) state(name string) (s supervise.Status) {
	all, err := l.sup.Status(l.Context(), name)
	if err != nil || len(all) != 1 {
		return s
	}
	return all[0]
}

func (l *lab) until(what string, ok func() bool) {
	l.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			l.Fatalf("%s: it never came\n%s", what, l.log())
		}
	}
}

func (l *lab) read(name ...string) string {
	text, _ := os.ReadFile(l.at(name...))
	return string(text)
}
