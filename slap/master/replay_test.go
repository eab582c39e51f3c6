package master_test

import (
	"bytes"
	"html"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostler-project/hostler/slap"
	"github.com/hostler-project/hostler/slap/master"
	"github.com/hostler-project/hostler/slap/slaptest"
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
		Products: []master.Product{{Name: "demo", URLs: []string{"https://software.example/demo/software.cfg"}}, {Name: "kvm", URLs: []string{"https://software.example/kvm/software.cfg"}}},
		Masters:  []master.External{{URL: "http://127.0.0.1:15003/", Releases: []string{"https://software.example/forwarded/software.cfg"}}},
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

var times = regexp.MustCompile(`<string>179\d{7}\.\d+</string>`)

// equivalent compares two answers by their meaning, and says how they differ.
func equivalent(e *slaptest.Exchange, status int, body []byte) string {
	if status != e.Status {
		return "status " + http.StatusText(status) + ": " + reason(body)
	}
	if strings.HasPrefix(e.Answer, "<marshal>") {
		want, err := slap.Unmarshal(times.ReplaceAll([]byte(e.Answer), []byte("<string>TIME</string>")))
		if err != nil {
			return err.Error()
		}
		got, err := slap.Unmarshal(times.ReplaceAll(body, []byte("<string>TIME</string>")))
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

// A difference is where our master knowingly answers otherwise.
type difference struct {
	why    string // with the section of the specification
	status int    // ours; 0: as recorded, and the body is another
	says   string // in the body
}

// replay sends a set, and compares all answers.
func replay(t *testing.T, h http.Handler, all []*slaptest.Exchange, known map[int]difference) {
	for _, e := range all {
		status, body := send(t, h, e)
		d, differs := known[e.N]
		diff := equivalent(e, status, body)
		want := d.status
		if want == 0 {
			want = e.Status
		}
		switch {
		case !differs && diff != "":
			t.Errorf("%s: %s", e.Name(), diff)
		case differs && diff == "":
			t.Errorf("%s is answered as recorded, but should not be: %s", e.Name(), d.why)
		case differs && (status != want || !bytes.Contains(body, []byte(d.says))):
			t.Errorf("%s: %d %s, which is not the difference that is known: %s", e.Name(), status, body, d.why)
		}
	}
}

func TestReplayLegacy(t *testing.T) {
	m := open(t, reference())
	replay(t, m.Legacy(master.LegacyOptions{}), slaptest.Exchanges(t, "legacy"), map[int]difference{
		1:  {"1.5: we serve the URL of the hypermedia API", 200, "/hateoas"},
		3:  {"1.5: the same", 200, "/hateoas"},
		5:  {"1.5: the same", 200, "/hateoas"},
		7:  {"1.2: an unknown computer is not found", 404, "COMP-404"},
		20: {"1.2: an unknown partition is not found", 404, "slappart99"},
		41: {"1.2, of the full master: the status of a computer", 200, "Compute Node"},
		44: {"1.2, of the full master: a computer is made", 200, "COMP-"},
		45: {"1.2, of the full master: the addresses of a tree", 200, "10.0.174.4"},
		46: {"1.2, of the full master: taken and passed over", 200, ""},
		49: {"1.2: the releases of the product that a release is of", 200, "demo/software.cfg"},
		54: {"2.5 Ours: a root that waits for its children is stopped", 0, "_requested_state</string><string>stopped<"},
		56: {"2.5 Ours: the same", 0, "_requested_state</string><string>stopped<"},
		61: {"1.2: another state is wrong", 400, "bogus"},
		64: {"1.2, of the full master: the status of an instance", 200, "#error no data found for COMP-LAB-slappart0"},
		72: {"1.2: the shared instance is renamed, not its host", 0, "_Renamed slave"},
	})
}

// The reference's node and command line, on a master of their own.
func TestReplayNode(t *testing.T) {
	m := open(t, master.Options{Computer: "COMP-LAB"})
	all := slaptest.Exchanges(t, "node")
	const fail, child, stopped = "fail</string><string>oops<", "child</string><string>yes<", "_requested_state</string><string>stopped<"
	known := map[int]difference{
		87:  {"2.3 Ours: a change of state alone keeps the parameters", 0, fail},
		89:  {"2.3 Ours: the same, and the stop is carried to the child", 0, fail},
		91:  {"2.3 Ours: the parameters are kept", 0, fail},
		106: {"2.3 Ours: the parameters are kept", 0, child},
		108: {"2.5 Ours: a root that waits for its children is stopped", 0, stopped},
		112: {"2.5 Ours: the same", 0, stopped},
		117: {"2.5 Ours: the same", 0, stopped},
		124: {"2.3 Ours: the parameters are kept", 0, child},
	}
	for _, e := range all {
		switch e.Path {
		case "/getHateoasUrl":
			known[e.N] = difference{"1.5: we serve the URL of the hypermedia API", 200, "/hateoas"}
		case "/updateComputerPartitionRelatedInstanceList":
			known[e.N] = difference{"1.2, of the full master: taken and passed over", 200, ""}
		}
	}
	replay(t, m.Handler(master.LegacyOptions{}), all, known)
}

// Another master that is not ready yet makes this one so.
func TestReplayNotReady(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusRequestTimeout)
		_, _ = w.Write([]byte("<p>Resource not ready</p>"))
	}))
	defer srv.Close()
	m := open(t, master.Options{Computer: "COMP-LAB", Masters: []master.External{{URL: srv.URL, Releases: []string{forwarded}}}})
	replay(t, m.Handler(master.LegacyOptions{}), slaptest.Exchanges(t, "not-ready"), map[int]difference{
		131: {"1.5: we serve the URL of the hypermedia API", 200, "/hateoas"},
	})
}
