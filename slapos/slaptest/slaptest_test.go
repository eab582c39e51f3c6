package slaptest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/slapos/slaptest"
)

var update = flag.Bool("update", false, "write the files from the recordings")

// TestRecordings: the files are what the recordings come to, where these are.
func TestRecordings(t *testing.T) {
	dir := filepath.Join(computetest.Shared(), "specs", "slapos-capture")
	index, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the recordings of the reference are not here; the files that were made of them are")
	} else if err != nil {
		t.Fatal(err)
	}
	var files []struct {
		Set, Step, Method, Path string
		N, Status               int
		Request, Response       string
	}
	if err := json.Unmarshal(index, &files); err != nil {
		t.Fatal(err)
	}
	sets := []string{"legacy", "json-rpc", "hateoas", "multimaster/local-master", "multimaster/external-master", "node", "not-ready"}
	var out bytes.Buffer
	for _, set := range sets {
		for _, f := range files {
			if f.Set != set {
				continue
			}
			e := slaptest.Exchange{Set: f.Set, N: f.N, Step: f.Step, Method: f.Method, Path: f.Path, Status: f.Status}
			asked(t, &e, filepath.Join(dir, f.Request))
			answered(t, &e, filepath.Join(dir, f.Response))
			encoded(t, &out, e)
		}
	}
	same(t, "exchanges.jsonl", out.Bytes())

	for to, from := range map[string]string{"values.json": "values.json", "database.json": "database-17.json"} {
		data, err := os.ReadFile(filepath.Join(dir, from))
		if err != nil {
			t.Fatal(err)
		}
		var parts map[string]json.RawMessage
		if err := json.Unmarshal(data, &parts); err != nil {
			t.Fatal(err)
		}
		delete(parts, "note")
		var compact bytes.Buffer
		encoded(t, &compact, parts)
		same(t, to, bytes.ReplaceAll(compact.Bytes(), []byte(`},{"`), []byte("},\n{\"")))
	}
}

func encoded(t *testing.T, out *bytes.Buffer, v any) {
	t.Helper()
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
}

func asked(t *testing.T, e *slaptest.Exchange, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
	if err != nil {
		t.Fatalf("file = %v, err = %v; want no error", file, err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("file = %v, err = %v; want no error", file, err)
	}
	e.Host, e.Accept, e.Type, e.Body = r.Host, r.Header.Get("Accept"), r.Header.Get("Content-Type"), string(body)
	// the output of programs, of which the beginning is enough
	if form := e.Form(); len(form.Get("error_log")) > 60 {
		form.Set("error_log", form.Get("error_log")[:60])
		e.Body = form.Encode()
	}
}

func answered(t *testing.T, e *slaptest.Exchange, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(data)), nil)
	if err != nil {
		t.Fatalf("file = %v, err = %v; want no error", file, err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("file = %v, err = %v; want no error", file, err)
	}
	e.Answer = string(body)
	switch page := strings.HasPrefix(strings.ToLower(e.Answer), "<!doctype"); {
	case answer.Header.Get("Location") != "":
		e.Answer = answer.Header.Get("Location")
	case e.Status == http.StatusBadRequest || e.Status == http.StatusNotAcceptable:
		// in the words of the reference's libraries, which count for nothing
		if e.Answer = fmt.Sprintf(`{"status":%d,"type":%q,"title":""}`, e.Status, http.StatusText(e.Status)); page {
			e.Answer = ""
		}
	case page && (e.Status >= 500 || e.Status == http.StatusMethodNotAllowed || len(body) == noEndpoint):
		e.Answer = ""
	case page:
		_, p, _ := strings.Cut(e.Answer, "<p>")
		p, _, _ = strings.Cut(p, "</p>")
		e.Answer = html.UnescapeString(p)
	}
}

// noEndpoint is how long the page is that says that there is no endpoint of that name.
const noEndpoint = 207

// same compares a file with what it should be, or writes that.
func same(t *testing.T, file string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the recordings come to (%v): go test ./slap/slaptest -update", file, err)
	}
}

// TestExchanges: nothing of what was recorded is missing, and all of it can be sent.
func TestExchanges(t *testing.T) {
	count := map[string]int{}
	for _, e := range slaptest.Exchanges(t, "") {
		count[e.Set]++
		r := e.Request()
		if r.Method != e.Method || r.URL.RequestURI() != e.Path || e.Status == 0 || e.Host == "" {
			t.Errorf(
				"%s: e = %+v"+
					`; want r.Method == e.Method and r.URL.RequestURI() == e.Path and e.Status != 0 and e.Host != ""`,
				e.Name(), e,
			)
		}
		if _, err := url.ParseQuery(e.Body); e.Form() != nil && err != nil {
			t.Errorf("%s: err = %v; want e.Form() == nil or no error", e.Name(), err)
		}
	}
	for set, want := range map[string]int{
		"legacy": 72, "json-rpc": 50, "hateoas": 7, "multimaster/local-master": 7, "multimaster/external-master": 15,
		"node": 130, "not-ready": 2,
	} {
		if count[set] != want {
			t.Errorf("%s has %d exchanges, not %d", set, count[set], want)
		}
		if all := slaptest.Exchanges(t, set); !slices.IsSortedFunc(all, func(a, b *slaptest.Exchange) int { return a.N - b.N }) {
			t.Errorf("%s is not in order", set)
		}
	}
	for name, data := range map[string][]byte{"values": slaptest.Values(), "database": slaptest.Database()} {
		if !json.Valid(data) {
			t.Errorf("%s is no JSON", name)
		}
	}
}
