package master_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/legacy"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
)

// peer speaks to the legacy endpoints.
type peer struct {
	*rig
	h http.Handler
}

func newWire(t *testing.T, who func(*http.Request) (access.Who, error)) *peer {
	r := newRig(t, master.Options{Computer: "C", Products: []master.Product{{Name: "demo", URLs: []string{demo, "older"}}}})
	return &peer{r, legacy.New(r.Master, wire.Options{Who: who})}
}

// call sends fields, as a query with GET; header is NAME and value.
func (w *peer) call(method, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(form.Encode()))
	if method == http.MethodGet {
		r = httptest.NewRequestWithContext(w.t.Context(), method, path+"?"+form.Encode(), nil)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	out := httptest.NewRecorder()
	w.h.ServeHTTP(out, r)
	return out
}

func fields(pairs ...string) url.Values {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return form
}

func doc(t *testing.T, v any) string {
	t.Helper()
	b, err := proto.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLegacyAnswers(t *testing.T) {
	w := newWire(t, nil)
	w.format("C", 2)
	w.ask(proto.Request{Title: "root"})
	w.ask(proto.Request{Title: "child", Computer: "C", Partition: "p0"})
	here := []string{"computer_id", "C", "computer_partition_id", "p0"}
	long := strings.Repeat("x", 100) + "ends"
	for _, c := range []struct {
		method, path string
		form         url.Values
		status       int
		says         string // all of it where it is no error
	}{
		{"POST", "/supplySupply", fields("url", demo, "computer_id", "C"), 200, "Supplied '" + demo + "' to be available"},
		{
			"POST", "/supplySupply", fields("url", demo, "computer_id", "C", "state", "gone"), 400,
			"state: &#34;gone&#34; is none of available, destroyed",
		},
		{"POST", "/supplySupply", fields("url", "", "computer_id", "C", "state", "available"), 400, "url is empty"},
		{"POST", "/buildingSoftwareRelease", fields("url", demo, "computer_id", "C"), 200, "Ignored"},
		{"POST", "/softwareReleaseError", fields("url", demo, "computer_id", "C", "error_log", long), 200, "Ignored"},
		{"POST", "/startedComputerPartition", fields(here...), 200, "Ignored"},
		{
			"POST", "/startedComputerPartition", fields("computer_id", "C", "computer_partition_id", "p9"), 404,
			"Unknown partition &#39;p9&#39; on &#39;C&#39;",
		},
		{"POST", "/softwareInstanceError", fields(append(here, "error_log", long, "slave_reference", "None")...), 200, "Ignored"},
		{"POST", "/softwareInstanceBang", fields(append(here, "message", "m")...), 200, "OK"},
		{"POST", "/computerBang", fields("computer_id", "C", "message", "m"), 200, "<marshal><string></string></marshal>"},
		{"POST", "/softwareInstanceRename", fields(append(here, "new_name", "renamed")...), 200, "done"},
		{"POST", "/softwareInstanceRename", fields(append(here, "new_name", " ")...), 400, "the new title is empty"},
		{"POST", "/useComputer", fields("computer_id", "C", "use_string", "<journal><x/></journal>"), 400, "in &lt;journal&gt;"},
		{
			"POST", "/useComputer",
			fields("computer_id", "C", "use_string", "<?xml version='1.0' encoding='utf-8'?><journal></journal>"), 200,
			"Ignored",
		},
		{
			"POST", "/destroyedComputerPartition", fields(here...), 200,
			"Not destroying yet because this partition has child partitions: child",
		},
		{
			"POST", "/destroyedComputerPartition", fields("computer_id", "C", "computer_partition_id", "p9"), 200,
			"Unknown partition 'p9' on 'C'",
		},
		{"POST", "/destroyedSoftwareRelease", fields("url", demo, "computer_id", "C"), 404, "is not to be destroyed"},
		{
			"POST", "/updateComputerPartitionRelatedInstanceList",
			fields(append(here, "instance_reference_xml", doc(t, proto.List{"a"}))...), 200, "Ignored",
		},
		{
			"POST", "/setComputerPartitionConnectionXml", fields(append(here, "connection_xml", doc(t, proto.List{}))...),
			400, "connection_xml: expected a dictionary",
		},
		{
			"POST", "/setComputerPartitionConnectionXml",
			fields(append(here, "connection_xml", doc(t, proto.Dictionary{"a": "b"}), "slave_reference", "_none")...),
			404, "has no shared instance _none",
		},
		{
			"POST", "/setComputerPartitionConnectionXml",
			fields(append(here, "connection_xml", doc(t, proto.Dictionary{"a": "b"}), "slave_reference", "NONE")...), 200,
			"done",
		},
		{"POST", "/loadComputerConfigurationFromXML", fields("xml", "<marshal>"), 400, "xml: "},
		{
			"POST", "/requestComputerPartition",
			fields("software_release", demo, "software_type", "", "partition_reference", "", "state", doc(t, nil)), 400,
			"partition_reference is empty",
		},
		{
			"POST", "/requestComputerPartition",
			fields("software_release", demo, "software_type", "", "partition_reference", "t", "state", doc(t, "running")),
			400, "state: &#34;running&#34; is none of",
		},
		{"GET", "/getSoftwareReleaseListFromSoftwareProduct", fields(), 400, "exactly one of"},
		{"GET", "/getFullComputerInformation", fields(), 400, "computer_id: this field is missing"},
		{"GET", "/getFullComputerInformation", fields("computer_id", "D"), 404, "D is not registered."},
		{
			"GET", "/registerComputerPartition", fields("computer_reference", "C", "computer_partition_reference", "p9"),
			404, "The computer C has no partition p9.",
		},
		{"GET", "/getComputerPartitionCertificate", fields(here...), 200, doc(t, proto.Dictionary{"certificate": "", "key": ""})},
		{"GET", "/getHateoasUrl", fields(), 200, "http://example.com/hateoas"},
		{"GET", "/supplySupply", fields(), 405, "not allowed"},
		{"GET", "/nothing", fields(), 404, "was not found on the server"},
	} {
		out := w.call(c.method, c.path, c.form)
		body := out.Body.String()
		if out.Code != c.status || c.status == 200 && body != c.says || !strings.Contains(body, c.says) {
			t.Errorf("%s %s %v: %d %s; want %d %s", c.method, c.path, c.form, out.Code, body, c.status, c.says)
		}
	}
	last := "#error " + strings.Repeat("x", 76) + "ends"
	for _, c := range []struct {
		path string
		form url.Values
		text string
	}{
		{"/getComputerPartitionStatus", fields(here...), last},
		{"/getSoftwareInstallationStatus", fields("computer_id", "C", "url", demo), last},
		{"/getComputerPartitionStatus", fields("computer_id", "C", "computer_partition_id", "p1"), "#error no data found for C-p1"},
	} {
		v, err := proto.Unmarshal(w.call(http.MethodGet, c.path, c.form).Body.Bytes())
		if d, ok := v.(proto.Dictionary); err != nil || !ok || d["text"] != c.text {
			t.Errorf(`%s: v = %v, err = %v; want no error and ok and d["text"] == c.text`, c.path, v, err)
		}
	}
}

func TestLegacyUnchanged(t *testing.T) {
	w := newWire(t, nil)
	w.format("C", 1)
	first := w.call(http.MethodGet, "/getFullComputerInformation", fields("computer_id", "C"))
	tag := first.Header().Get("ETag")
	if tag == "" || first.Code != http.StatusOK {
		t.Fatalf(`first.Code = %d tag = %q; want tag != "" and first.Code == http.StatusOK`, first.Code, tag)
	}
	if again := w.call(
		http.MethodGet, "/getFullComputerInformation", fields("computer_id", "C"), "If-None-Match", tag,
	); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf(
			"again.Code = %d again.Body = %s"+
				"; want again.Code == http.StatusNotModified and again.Body.Len() == 0",
			again.Code, again.Body,
		)
	}
	w.ask(proto.Request{Title: "root"})
	if now := w.call(
		http.MethodGet, "/getFullComputerInformation", fields("computer_id", "C"), "If-None-Match", tag,
	); now.Code != http.StatusOK || now.Header().Get("ETag") == tag {
		t.Errorf(
			`now.Code = %d now.Header().Get("ETag") = %s`+
				`; want now.Code == http.StatusOK and now.Header().Get("ETag") != tag`,
			now.Code, now.Header().Get("ETag"),
		)
	}
}

// A form that is too large is refused before it is read.
func TestLegacyTooLarge(t *testing.T) {
	w := newWire(t, nil)
	if out := w.call(
		http.MethodPost, "/useComputer", fields("computer_id", "C", "use_string", strings.Repeat("x", 5<<20)),
	); out.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("out.Code = %d out.Body = %s; want out.Code == http.StatusRequestEntityTooLarge", out.Code, out.Body)
	}
}

// A node speaks for its own computer alone, and a user sees the user's own trees alone.
func TestLegacyWho(t *testing.T) {
	var who access.Who
	w := newWire(t, func(*http.Request) (access.Who, error) { return who, nil })
	w.format("C", 3)
	request := func(title string) int {
		form, err := (&proto.Request{Title: title, Release: demo}).Form()
		if err != nil {
			t.Fatal(err)
		}
		return w.call(http.MethodPost, "/requestComputerPartition", form).Code
	}
	is := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, not %d", what, got, want)
		}
	}
	information := func() int {
		return w.call(http.MethodGet, "/getFullComputerInformation", fields("computer_id", "C")).Code
	}
	is("nobody reads", information(), 403)
	who = access.Who{Computer: "D"}
	is("another node reads", information(), 403)
	is(
		"another node reports",
		w.call(http.MethodPost, "/destroyedComputerPartition", fields("computer_id", "C", "computer_partition_id", "p0")).Code,
		403,
	)
	is(
		"another node formats",
		w.call(http.MethodPost, "/loadComputerConfigurationFromXML", fields("xml", doc(t, proto.Dictionary{"reference": "C"}))).Code,
		403,
	)
	is("a node requests as a user", request("x"), 403)
	who = access.Who{User: "ann"}
	is("ann requests", request("web"), 200)
	who = access.Who{User: "bob"}
	is("bob requests what has the same title", request("web"), 200)
	if trees, err := w.Instances.Trees(t.Context(), who, true); err != nil || len(trees) != 1 || trees[0].Partition != "p1" {
		t.Errorf("bob has %v, %v", trees, err)
	}
	read := func(partition string) int {
		return w.call(
			http.MethodGet, "/registerComputerPartition",
			fields("computer_reference", "C", "computer_partition_reference", partition),
		).Code
	}
	is("bob reads ann's", read("p0"), 403)
	is("bob reads his", read("p1"), 200)
	is(
		"bob reports for a node",
		w.call(http.MethodPost, "/startedComputerPartition", fields("computer_id", "C", "computer_partition_id", "p1")).Code,
		403,
	)
	is("bob reads the computer", information(), 403)
	who = access.Who{Computer: "C"}
	is("the node reads", information(), 200)
	is(
		"the node reports",
		w.call(http.MethodPost, "/startedComputerPartition", fields("computer_id", "C", "computer_partition_id", "p1")).Code,
		200,
	)
	failing := newWire(t, func(*http.Request) (access.Who, error) {
		return access.Anybody, &compute.Error{Kind: compute.ErrDenied}
	})
	is("who is not known", failing.call(http.MethodGet, "/getRunId", nil).Code, 403)
}
