package master_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostler-project/hostler/slapos/slaptest"
)

// A difference is where our master knowingly answers otherwise than was recorded: what it answers,
// but for what differs from run to run.
type difference struct {
	// the same set is answered otherwise by a master that has other records
	Test   string `json:"test"`
	Set    string `json:"set"`
	N      int    `json:"n"`
	Why    string `json:"why"`
	Status int    `json:"status"`
	Answer string `json:"answer"`
}

// known are differences by set and number.
type known struct {
	all   map[string]difference
	fresh bool // they are written anew
}

const differing = "testdata/differences.jsonl"

var writing sync.Mutex

// differences reads them. With HOSTLER_UPDATE set what is answered takes their place.
func differences(t *testing.T) known {
	t.Helper()
	k := known{map[string]difference{}, os.Getenv("HOSTLER_UPDATE") != ""}
	writing.Lock()
	defer writing.Unlock()
	text, err := os.ReadFile(differing)
	if err != nil && !k.fresh {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var d difference
		if err := json.Unmarshal(line, &d); err != nil {
			t.Fatal(err)
		}
		k.all[d.name()] = d
	}
	return k
}

func (d difference) name() string { return fmt.Sprintf("%s %s %03d", d.Test, d.Set, d.N) }

func (k known) compare(t *testing.T, e *slaptest.Exchange, why string, status int, body []byte) {
	t.Helper()
	test, _, _ := strings.Cut(t.Name(), "/")
	got := difference{test, e.Set, e.N, why, status, steady(body)}
	// which is in the order of names, one of them random
	if strings.HasSuffix(e.Path, "compute_node_list") {
		got.Answer = inOrder(t, got.Answer)
	}
	if k.fresh {
		k.all[got.name()] = got
	}
	if diff := cmp.Diff(k.all[got.name()], got); diff != "" {
		t.Errorf("%s is not answered as we knowingly do (HOSTLER_UPDATE=1 has it be so): %s", e.Name(), diff)
	}
}

func inOrder(t *testing.T, list string) string {
	t.Helper()
	var all map[string][]map[string]string
	if err := json.Unmarshal([]byte(list), &all); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all["result_list"], func(a, b map[string]string) int {
		return strings.Compare(a["computer_guid"], b["computer_guid"])
	})
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (k known) write(t *testing.T) {
	t.Helper()
	if !k.fresh {
		return
	}
	var b bytes.Buffer
	to := json.NewEncoder(&b)
	to.SetEscapeHTML(false)
	all := make([]difference, 0, len(k.all))
	for _, d := range k.all {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b difference) int { return strings.Compare(a.name(), b.name()) })
	for _, d := range all {
		if err := to.Encode(d); err != nil {
			t.Fatal(err)
		}
	}
	writing.Lock()
	defer writing.Unlock()
	if err := os.WriteFile(differing, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// What differs from run to run: times, and names that are made at random.
var passing = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`[12]\d{9}\.\d+`), "TIME"},
	{regexp.MustCompile(`("processing_timestamp":) ?\d{16}`), "${1}0"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?`), "DATE"},
	{regexp.MustCompile(`[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d( GMT| [+-]\d{4})?`), "DATE"},
	{regexp.MustCompile(`(COMP|INST)-[0-9a-f]{20}`), "$1-RANDOM"},
	{regexp.MustCompile(`("instance_guid":) ?"[^"]*"`), `${1}"GUID"`},
}

func steady(body []byte) string {
	text := string(body)
	for _, p := range passing {
		text = p.what.ReplaceAllString(text, p.as)
	}
	return text
}

// TestSteadyKeepsWhatMatters: what is compared whole is not masked away.
func TestSteadyKeepsWhatMatters(t *testing.T) {
	for from, want := range map[string]string{
		`{"instance_guid": "x", "title":"a"}`: `{"instance_guid":"GUID", "title":"a"}`,
		"<string>1795157840.5</string>":       "<string>TIME</string>", "COMP-LAB 10.0.174.4": "COMP-LAB 10.0.174.4",
		http.StatusText(404): "Not Found",
	} {
		if got := steady([]byte(from)); got != want {
			t.Errorf("got = %s; want got == want", got)
		}
	}
}
