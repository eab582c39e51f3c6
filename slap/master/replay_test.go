package master_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"html"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/slap"
	"github.com/hostler-project/hostler/slap/master"
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

// An exchange is a request and its answer as they crossed the wire between the reference's client and master.
type exchange struct {
	Set, Step, Method, Path string
	N, Status               int
	Request, Response       string // files

	sent, answered []byte // the request, and the body of its answer
}

// recorded is a set of the recordings; the test is skipped where they are not.
func recorded(t *testing.T, set string) []*exchange {
	t.Helper()
	dir := filepath.Join(computetest.Shared(), "specs", "slapos-capture")
	data, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		if os.Getenv("HOSTLER_REQUIRE_LAB") != "" {
			t.Fatal("the recordings of the reference are not here")
		}
		t.Skip("the recordings of the reference are not here")
	} else if err != nil {
		t.Fatal(err)
	}
	var all, chosen []*exchange
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.Set != set {
			continue
		}
		if e.sent, err = os.ReadFile(filepath.Join(dir, e.Request)); err != nil {
			t.Fatal(err)
		}
		response, err := os.ReadFile(filepath.Join(dir, e.Response))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(response)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if e.answered, err = io.ReadAll(answer.Body); err != nil {
			t.Fatal(err)
		}
		if to := answer.Header.Get("Location"); to != "" {
			e.answered = []byte(to) // which is all that counts of it
		}
		chosen = append(chosen, e)
	}
	return chosen
}

// send sends a recorded request to a handler.
func send(t *testing.T, h http.Handler, e *exchange) (int, []byte) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(e.sent)))
	if err != nil {
		t.Fatal(e.Request, err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(t.Context()))
	if to := w.Header().Get("Location"); to != "" {
		return w.Code, []byte(to)
	}
	return w.Code, w.Body.Bytes()
}

var times = regexp.MustCompile(`<string>179\d{7}\.\d+</string>`)

// equivalent compares two answers by their meaning, and says how they differ.
func equivalent(e *exchange, status int, body []byte) string {
	if status != e.Status {
		return "status " + http.StatusText(status) + ": " + reason(body)
	}
	if bytes.HasPrefix(e.answered, []byte("<marshal>")) {
		want, err := slap.Unmarshal(times.ReplaceAll(e.answered, []byte("<string>TIME</string>")))
		if err != nil {
			return err.Error()
		}
		got, err := slap.Unmarshal(times.ReplaceAll(body, []byte("<string>TIME</string>")))
		if err != nil {
			return err.Error() + ": " + string(body)
		}
		return cmp.Diff(want, got)
	}
	if bytes.HasPrefix(e.answered, []byte("{")) {
		return equivalentJSON(e, body)
	}
	if status >= 400 {
		if want := reason(e.answered); !strings.Contains(reason(body), want) {
			return "the reason is " + reason(body) + ", not " + want
		}
		return ""
	}
	return cmp.Diff(string(e.answered), string(body))
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
func replay(t *testing.T, h http.Handler, all []*exchange, known map[int]difference) {
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
			t.Errorf("%s: %s", e.Request, diff)
		case differs && diff == "":
			t.Errorf("%s is answered as recorded, but should not be: %s", e.Request, d.why)
		case differs && (status != want || !bytes.Contains(body, []byte(d.says))):
			t.Errorf("%s: %d %s, which is not the difference that is known: %s", e.Request, status, body, d.why)
		}
	}
}

func TestReplayLegacy(t *testing.T) {
	m := open(t, reference())
	replay(t, m.Legacy(master.LegacyOptions{}), recorded(t, "legacy"), map[int]difference{
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
		67: {"1.2: the field that is missing is named", 400, "software_type"},
		72: {"1.2: the shared instance is renamed, not its host", 0, "_Renamed slave"},
	})
}
