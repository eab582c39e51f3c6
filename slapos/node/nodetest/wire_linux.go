package nodetest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/overview"
	"github.com/hostler-project/hostler/slapos/master/web"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
	"github.com/hostler-project/hostler/store/sqlite"
)

// patience is how long a test waits for an expected event, on a busy machine.
const patience = 2 * time.Minute

// Do ends a test that something has failed.
func Do(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Until waits until so returns true. more adds to the message of a failure.
func Until(t testing.TB, what string, so func() bool, more ...func() string) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			for _, f := range more {
				t.Log(f())
			}
			t.Fatalf("%s: it never came", what)
		}
	}
}

// Wire is a master behind HTTP that records its calls. Its methods may be called concurrently.
type Wire struct {
	URL    string // ends with a slash
	Server *httptest.Server
	Client *client.Client

	t      testing.TB
	mu     sync.Mutex
	calls  []string
	before func(w http.ResponseWriter, r *http.Request) bool
}

// newWire serves a handler over HTTP until the test ends, at a listener; nil: at a port of this
// machine.
func newWire(t testing.TB, h http.Handler, at net.Listener) *Wire {
	t.Helper()
	w := &Wire{t: t}
	w.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		if !w.note(answer, r) {
			h.ServeHTTP(answer, r)
		}
	}))
	if at != nil {
		_ = w.Server.Listener.Close()
		w.Server.Listener = at
	}
	w.Server.Start()
	t.Cleanup(w.Server.Close)
	w.URL = w.Server.URL + "/"
	var err error
	w.Client, err = client.New(client.Options{URL: w.URL})
	Do(t, err)
	t.Cleanup(w.Client.Close)
	return w
}

// note writes a call down, and reports whether it was answered in the handler's place.
func (w *Wire) note(answer http.ResponseWriter, r *http.Request) bool {
	call := ""
	if r.Method == http.MethodPost {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		call = r.URL.Path[1:]
		if form, err := url.ParseQuery(string(body)); err == nil {
			call = strings.TrimSpace(call + " " + form.Get("computer_partition_id"))
		}
	}
	w.mu.Lock()
	if call != "" {
		w.calls = append(w.calls, call)
	}
	before := w.before
	w.mu.Unlock()
	return before != nil && before(answer, r)
}

// Before has a function see each call before the master does. The function reports whether it has
// answered in the master's place. It may be nil.
func (w *Wire) Before(f func(answer http.ResponseWriter, r *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before = f
}

// Refuse has calls that f wants so be answered that the master cannot be asked now; nil: none.
func (w *Wire) Refuse(f func(path string) bool) {
	if f == nil {
		w.Before(nil)
		return
	}
	w.Before(func(answer http.ResponseWriter, r *http.Request) bool {
		refused := f(r.URL.Path[1:])
		if refused {
			http.Error(answer, "not now", http.StatusServiceUnavailable)
		}
		return refused
	})
}

// Told are the calls that were no reads since Forget was called: the name of each, and the
// partition that it is of.
func (w *Wire) Told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.calls, ", ")
}

// Forget begins what Told says anew.
func (w *Wire) Forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = nil
}

// Tells fails the test where the master was told something else.
func (w *Wire) Tells(want string) {
	w.t.Helper()
	if got := w.Told(); got != want {
		w.t.Errorf("the master was told\n%s\nand is to be told\n%s", got, want)
	}
}

// Master is a master of ours behind HTTP.
type Master struct {
	*Wire
	*master.Master
}

// Computer is the ID of the computer that NewMaster's master takes for its own.
const Computer = "C"

// NewMaster makes an empty master, at a listener; nil: at a port of this machine.
func NewMaster(t testing.TB, at net.Listener) *Master {
	t.Helper()
	st, err := sqlite.Open(t.Context(), t.TempDir()+"/state.db", sqlite.Options{Unsafe: true})
	Do(t, err)
	t.Cleanup(func() { _ = st.Close() })
	m, err := master.New(t.Context(), master.Options{Store: st, Computer: Computer})
	Do(t, err)
	return &Master{newWire(t, web.New(m, web.Options{Ending: t.Context().Done()}), at), m}
}

// Ask sends a request, without a caller or as the instance in a partition.
func (m *Master) Ask(q *proto.Request) {
	m.t.Helper()
	_, err := m.Master.Requests.Request(m.t.Context(), access.Anybody, q)
	Do(m.t, err)
}

// Used are the reported movements of a computer's use, as RESOURCE of REFERENCE is QUANTITY.
func (m *Master) Used(computer string) (all []string) {
	m.t.Helper()
	records, err := m.Usage.Last(m.t.Context(), access.Anybody, computer, 100)
	Do(m.t, err)
	for _, r := range records {
		journal, err := proto.ParseUsage(r.Report)
		Do(m.t, err)
		for _, t := range journal {
			for _, v := range t.Movements {
				all = append(all, fmt.Sprintf("%s of %s is %s", v.Resource, v.Reference, v.Quantity))
			}
		}
	}
	return all
}

// Trouble is the last reported status of the instance in a partition if that is an error; else "".
func (m *Master) Trouble(computer, partition string) string {
	m.t.Helper()
	c, err := overview.Computer(m.t.Context(), m.Master, access.Anybody, computer)
	Do(m.t, err)
	if in := c.At[partition]; in != nil && in.Said != nil && in.Said.Error {
		return in.Said.Message
	}
	return ""
}
