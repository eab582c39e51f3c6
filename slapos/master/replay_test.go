package master_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/web"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/slaptest"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// open makes a master on a store of its own.
func open(t testing.TB, opt master.Options) *master.Master {
	t.Helper()
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return openOn(t, st, opt)
}

func openOn(t testing.TB, st store.Transactor, opt master.Options) *master.Master {
	t.Helper()
	opt.Store = st
	m, err := master.New(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// reference is the master on which the recordings were made.
func reference() master.Options {
	return master.Options{Computer: "COMP-LAB",
		Products: []master.Product{
			{Name: "demo", URLs: []string{"https://software.example/demo/software.cfg"}},
			{Name: "kvm", URLs: []string{"https://software.example/kvm/software.cfg"}},
		},
		Masters: []master.External{{
			URL: "http://127.0.0.1:15003/", Releases: []string{"https://software.example/forwarded/software.cfg"},
		}},
	}
}

// send sends a recorded request to a handler.
func send(t *testing.T, h http.Handler, e *slaptest.Exchange) (int, []byte) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, e.Request().WithContext(t.Context()))
	if to := w.Header().Get("Location"); to != "" {
		return w.Code, []byte(to)
	}
	return w.Code, w.Body.Bytes()
}

var times = regexp.MustCompile(`<string>[12]\d{9}\.\d+</string>`)

// equivalent compares two answers by their meaning, and says how they differ.
func equivalent(e *slaptest.Exchange, status int, body []byte) string {
	if status != e.Status {
		return "status " + http.StatusText(status) + ": " + reason(body)
	}
	if strings.HasPrefix(e.Answer, "<marshal>") {
		want, err := proto.Unmarshal(times.ReplaceAll([]byte(e.Answer), []byte("<string>TIME</string>")))
		if err != nil {
			return err.Error()
		}
		got, err := proto.Unmarshal(times.ReplaceAll(body, []byte("<string>TIME</string>")))
		if err != nil {
			return err.Error() + ": " + string(body)
		}
		return cmp.Diff(want, got)
	}
	if strings.HasPrefix(e.Answer, "{") {
		return equivalentJSON(e, body)
	}
	if status >= 400 {
		if want := e.Answer; !strings.Contains(reason(body), want) {
			return "the reason is " + reason(body) + ", not " + want
		}
		return ""
	}
	return cmp.Diff(e.Answer, string(body))
}

// reason is the paragraph of an error's page.
func reason(page []byte) string {
	_, p, _ := strings.Cut(string(page), "<p>")
	p, _, _ = strings.Cut(p, "</p>")
	return html.UnescapeString(p)
}

// replay sends a set, and compares all answers. known says why ours is another, with the section of
// the specification: those are in testdata/differences.jsonl, whole.
func replay(t *testing.T, h http.Handler, all []*slaptest.Exchange, known map[int]string) {
	t.Helper()
	differs := differences(t)
	for _, e := range all {
		status, body := send(t, h, e)
		why := known[e.N]
		switch diff := equivalent(e, status, body); {
		case why == "" && diff != "":
			t.Errorf("%s: diff = %s", e.Name(), diff)
		case why != "" && diff == "":
			t.Errorf("%s is answered as recorded, but should not be: %s", e.Name(), why)
		case why != "":
			differs.compare(t, e, why, status, body)
		}
	}
	differs.write(t)
}

var legacyDifferences = map[int]string{
	1:  "1.5: we serve the URL of the hypermedia API",
	3:  "1.5: the same",
	5:  "1.5: the same",
	7:  "1.2: an unknown computer is not found",
	20: "1.2: an unknown partition is not found",
	41: "1.2, of the full master: the status of a computer",
	44: "1.2, of the full master: a computer is made",
	45: "1.2, of the full master: the addresses of a tree",
	46: "1.2, of the full master: taken and passed over",
	49: "1.2: the releases of the product that a release is of",
	54: "2.5 Ours: a root that waits for its children is stopped",
	56: "2.5 Ours: the same",
	61: "1.2: another state is wrong",
	64: "1.2, of the full master: the status of an instance",
	72: "1.2: the shared instance is renamed, not its host",
}

// The reference's node and command line, on a master of their own.
func TestReplayNode(t *testing.T) {
	m := open(t, master.Options{Computer: "COMP-LAB"})
	all := slaptest.Exchanges(t, "node")
	known := map[int]string{
		87:  "2.3 Ours: a change of state alone keeps the parameters",
		89:  "2.3 Ours: the same, and the stop is carried to the child",
		91:  "2.3 Ours: the parameters are kept",
		106: "2.3 Ours: the parameters are kept",
		108: "2.5 Ours: a root that waits for its children is stopped",
		112: "2.5 Ours: the same",
		117: "2.5 Ours: the same",
		124: "2.3 Ours: the parameters are kept",
	}
	for _, e := range all {
		switch e.Path {
		case "/getHateoasUrl":
			known[e.N] = "1.5: we serve the URL of the hypermedia API"
		case "/updateComputerPartitionRelatedInstanceList":
			known[e.N] = "1.2, of the full master: taken and passed over"
		}
	}
	replay(t, web.New(m, wire.Options{}), all, known)
}

// Another master that is not ready yet makes this one so.
func TestReplayNotReady(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusRequestTimeout)
		_, _ = w.Write([]byte("<p>Resource not ready</p>"))
	}))
	defer srv.Close()
	m := open(t, master.Options{Computer: "COMP-LAB", Masters: []master.External{{URL: srv.URL, Releases: []string{forwarded}}}})
	replay(
		t, web.New(m, wire.Options{}), slaptest.Exchanges(t, "not-ready"),
		map[int]string{131: "1.5: we serve the URL of the hypermedia API"},
	)
}
