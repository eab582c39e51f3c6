package master_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/rpc"
	"github.com/hostler-project/hostler/slapos/master/web"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/hypermedia"
	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
	"github.com/hostler-project/hostler/slapos/schema"
	"github.com/hostler-project/hostler/slapos/slaptest"
)

// call calls a method of the JSON API.
func call(ctx context.Context, h http.Handler, name, body string) (int, string) {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/x", strings.NewReader(body))
	r.URL.Path = "/" + name
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// visit reads a URL of the hypermedia API.
func visit(t *testing.T, h http.Handler, link string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, link, nil))
	return w.Code, w.Body.String()
}

// Every method of the table is answered, and by words.
func TestEveryMethod(t *testing.T) {
	r := newRig(t, master.Options{Computer: "C"})
	h := web.New(r.Master, wire.Options{})
	for _, method := range jsonapi.Methods() {
		said := &jsonapi.Call{}
		if slices.Contains(method.Required, "reported_state") {
			said.ReportedState = proto.Destroyed
		}
		body, err := method.Encode(said)
		if err != nil {
			t.Fatalf("method.Name = %v, err = %v; want no error", method.Name, err)
		}
		if status, answer := call(t.Context(), h, method.Name, string(body)); status >= 500 || !json.Valid([]byte(answer)) {
			t.Errorf("%s: status = %d answer = %s; want status < 500 and json.Valid([]byte(answer))", method.Name, status, answer)
		}
	}
}

// A shared instance whose host went is in the list, with why; what never had a place is not, and
// who asks for it hears why.
func TestJSONWithoutPlace(t *testing.T) {
	r := newRig(t, master.Options{Computer: "C"})
	h := web.New(r.Master, wire.Options{})
	r.format("C", 1)
	r.ask(proto.Request{Title: "host"})
	r.ask(proto.Request{Title: "sh", Shared: true})
	if _, err := r.Requests.Request(t.Context(), access.Anybody, &proto.Request{Title: "late", Release: demo}); err == nil {
		t.Fatal("there was room")
	}
	if _, err := r.Instances.InstanceDestroyed(t.Context(), access.Anybody, "C", "p0"); err != nil {
		t.Fatal(err)
	}
	if status, body := call(t.Context(), h, "slapos.allDocs.v0.instance_tree_list", "{}"); status != http.StatusOK ||
		strings.TrimSpace(body) != `{"result_list":[{"title":"sh"}]}` {
		t.Errorf(
			"status = %d body = %s"+
				"; want status == http.StatusOK and strings.TrimSpace(body) == "+
				"`{\"result_list\":[{\"title\":\"sh\"}]}`",
			status, body,
		)
	}
	if status, body := call(t.Context(), h, "slapos.get.v0.instance_tree", `{"title":"sh"}`); status != http.StatusOK ||
		!strings.Contains(body, `"access_status_message":"#error no place: no instance of `) {
		t.Errorf(
			"status = %d body = %s"+
				"; want status == http.StatusOK and body with `\"access_status_message\":\"#error no place: "+
				"no instance of `",
			status, body,
		)
	}
	if status, body := call(t.Context(), h, "slapos.get.v0.instance_tree", `{"title":"late"}`); status != http.StatusForbidden ||
		!strings.Contains(
			body,
			`"title":"No instance tree late found.","detail":"there is no place for it: all 1 partitions of C are in use"`,
		) {
		t.Errorf("status = %d body = %s", status, body)
	}
}

func TestJSONRefusals(t *testing.T) {
	r := newRig(t, master.Options{Computer: "C"})
	h := web.New(r.Master, wire.Options{})
	long := strings.Repeat("é", 201)
	for _, c := range []struct {
		method, body string
		status       int
		says         string
	}{
		{"slapos.get.v0.hateoas_url", `{"nope": 1}`, 400, "nope"},
		{"slapos.get.v0.hateoas_url", `[]`, 400, "object"},
		{"slapos.get.v0.hateoas_url", ``, 400, "object"},
		{"slapos.get.v0.hateoas_url", "{\"\xff\": 1}", 400, "UTF-8"},
		{"slapos.get.v9.hateoas_url", `{}`, 404, "no such method"},
		{"slapos.put.v0.compute_node_bang", `{"computer_guid": "C"}`, 400, "message"},
		{"slapos.put.v0.compute_node_bang", `{"computer_guid": 1, "message": ""}`, 400, "computer_guid"},
		{"slapos.put.v0.compute_node_bang", `{"computer_guid": "C", "message": ""}`, 403, "C is not registered."},
		{"slapos.post.v0.software_instance", `{"title": "` + long + `", "software_release_uri": "u", "software_type": "d"}`, 400, "title"},
		{"slapos.post.v0.software_instance", `{"title": "", "software_release_uri": "u", "software_type": "d"}`, 400, "title"},
		{
			"slapos.post.v0.software_instance", `{"title": "t", "software_release_uri": "", "software_type": "d"}`, 400,
			"software_release_uri",
		},
		{
			"slapos.post.v0.software_instance",
			`{"title": "t", "software_release_uri": "u", "software_type": "d", "state": "sleeping"}`, 400, "state",
		},
		{
			"slapos.post.v0.software_instance",
			`{"title": "t", "software_release_uri": "u", "software_type": "d", "sla_parameters": {"computer_guid": 1}}`,
			400, "computer_guid",
		},
		{
			"slapos.post.v0.software_instance", `{"title": "t", "software_release_uri": "u", "software_type": "d"}`, 403,
			"there is no computer C",
		},
		{"slapos.put.v0.software_instance_title", `{"instance_guid": "i", "title": "` + long + `"}`, 400, "title"},
		{
			"slapos.put.v0.compute_node_format",
			`{"computer_guid": "C", "compute_partition_list": [{"partition_id": "p"}, {"partition_id": "p"}]}`, 400,
			"two partitions",
		},
		{"slapos.post.v0.compute_node_usage", `{"computer_guid": "C", "tioxml": "<"}`, 400, ""},
		{"slapos.put.v0.compute_node_bang", `{"computer_guid": "C", "message": "` + strings.Repeat("x", 5<<20) + `"}`, 413, "bytes"},
	} {
		if status, body := call(t.Context(), h, c.method, c.body); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s %.100s: %d %s; want %d and %q", c.method, c.body, status, body, c.status, c.says)
		}
	}
	for accept, want := range map[string]int{
		"": 200, "*/*": 200, "application/*": 200, "text/html, application/json;q=0.1": 200, "text/html": 406,
		"application/json;q=0, */*": 406,
	} {
		q := httptest.NewRequest(http.MethodPost, "/slapos.get.v0.hateoas_url", strings.NewReader("{}"))
		q.Header.Set("Content-Type", "application/json; charset=utf-8")
		if accept != "" {
			q.Header.Set("Accept", accept)
		}
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, q); w.Code != want {
			t.Errorf("%s: w.Code = %d; want w.Code == want", accept, w.Code)
		}
	}
	q := httptest.NewRequest(http.MethodPost, "/slapos.get.v0.hateoas_url", strings.NewReader("{}"))
	q.Header.Set("Content-Type", "text/plain") // as any page of the web could send it
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, q); w.Code != 400 {
		t.Error(w.Code)
	}
	if status, body := visit(t, h, "/slapos.schema.slapos.get.v0.compute_partition"); status != 200 ||
		!strings.Contains(body, `"required":["computer_guid","compute_partition_id"]`) {
		t.Errorf(
			"status = %v, body = %v"+
				"; want status == 200 and body with `\"required\":[\"computer_guid\",\"compute_partition_id\"]`",
			status, body,
		)
	}
	if status, _ := visit(t, h, "/slapos.schema.nope"); status != 404 {
		t.Error(status)
	}
}

// grown are bodies for the fuzzer: those of the recordings, and some of our own.
func grown(f *testing.F) {
	for _, e := range slaptest.Exchanges(f, "json-rpc") {
		f.Add(strings.TrimPrefix(e.Path, "/"), e.Body)
	}
	for _, method := range jsonapi.Methods() {
		for _, body := range []string{`{}`, `null`, `{"computer_guid": null}`, `{"title": "\ud800"}`,
			`{"computer_guid":"C","message":"\u0000"}`, `{"instance_guid": "___", "message": ""}`,
			`{"instance_guid": "-", "reported_state": "destroyed"}`, strings.Repeat(`{"title":`, 500),
			`{"computer_guid":"C","compute_partition_list":[[]]}`,
			`{"computer_guid":"C","compute_partition_list":[{"partition_id":"p","ip_list":[{"ip-address":null}]}]}`,
			`{"title":"t","software_release_uri":"u","software_type":"d","parameters":{"a":[1,{"b":null}],"n":1e999},"sla_parameters":{"retention_delay":1.5}}`,
			`{"title":"t","software_release_uri":"u","software_type":"d","parameters":{"a":[1,{"b":null}]},"sla_parameters":{"retention_delay":1.5},"shared":true}`} {
			f.Add(method.Name, body)
		}
	}
}

// Whatever is sent, the answer is no 500 and has words; and what the method's schema refuses is
// refused, what it does not is read.
func FuzzJSON(f *testing.F) {
	grown(f)
	m := open(f, master.Options{Computer: "C"})
	h := web.New(m, wire.Options{})
	if err := m.Computers.Format(
		f.Context(), access.Anybody,
		&proto.Configuration{Computer: "C", Partitions: []proto.ConfiguredPartition{{ID: "p0"}}},
	); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, body string) {
		status, answer := call(t.Context(), h, name, body)
		if status >= 500 || status >= 400 && len(answer) < 10 {
			t.Fatalf(
				"%s body = %q: status = %d answer = %s"+
					"; want status < 500 and (status < 400 or len(answer) >= 10)",
				name, body, status, answer,
			)
		}
		method, ok := jsonapi.FindMethod(name)
		var v map[string]any
		if !ok || json.Unmarshal([]byte(body), &v) != nil || v == nil {
			return
		}
		text, err := json.Marshal(method.Schema())
		if err != nil {
			t.Fatal(err)
		}
		c := schema.Checker{Load: func(context.Context, string) (doc any, err error) { return doc, json.Unmarshal(text, &doc) }}
		faults, err := c.Check(t.Context(), "http://schema.example/", v)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := method.Decode([]byte(body)); len(faults) > 0 && err == nil {
			t.Fatalf("%s takes %q, and its schema does not: %v", name, body, faults)
		}
	})
}

// A search gives what was selected and no secrets, as many as are wanted, and its links lead to the
// documents, whatever the titles are.
func TestHypermedia(t *testing.T) {
	r := newRig(t, master.Options{Computer: "C"})
	h := web.New(r.Master, wire.Options{})
	r.format("C", 7)
	titles := []string{"plain", "a/b ?#%&+", "Größe 𝄞", "..", `a "quoted" \ title`, "plain"}
	for i, title := range titles {
		r.ask(proto.Request{Title: title, Parameters: proto.Dictionary{"password": "hidden"}, Shared: i == 5})
	}
	r.ask(proto.Request{Title: "child", Computer: "C", Partition: "p0"})
	if err := r.Instances.SetConnection(t.Context(), access.Anybody, "C", "p0", "", proto.Dictionary{"key": "hidden"}); err != nil {
		t.Fatal(err)
	}
	if err := r.Computers.Supply(t.Context(), access.Anybody, "C", demo, ""); err != nil {
		t.Fatal(err)
	}
	search := func(query, rest string) []map[string]any {
		t.Helper()
		status, body := visit(t, h, "/hateoas/?mode=search&query="+url.QueryEscape(query)+rest)
		var found hypermedia.Results
		if err := json.Unmarshal([]byte(body), &found); err != nil || status != 200 {
			t.Fatalf("query = %v, status = %v, body = %v, err = %v; want no error and status == 200", query, status, body, err)
		}
		if strings.Contains(body, "hidden") {
			t.Errorf("%s gives secrets away: %s", query, body)
		}
		return found.Embedded.Contents
	}
	trees := hypermedia.Query{Kind: hypermedia.QueryTrees}
	all := search(trees.String(), "&select_list=title,connection_xml,text_content,connection_parameter_list,xml")
	if len(all) != len(titles) {
		t.Fatalf("all = %v; want len(all) == len(titles)", all)
	}
	for i, thing := range all {
		if len(thing) != 2 || thing["title"] != titles[i] {
			t.Errorf("%v is not of %q", thing, titles[i])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(
			w,
			httptest.NewRequest(
				http.MethodGet,
				"/hateoas/?mode=traverse&view=slaposjs_view&relative_url="+url.QueryEscape(thing["relative_url"].(string)),
				nil,
			),
		)
		if w.Code != http.StatusFound {
			t.Fatalf("w.Code = %v, w.Body = %v; want w.Code == http.StatusFound", w.Code, w.Body)
		}
		status, body := visit(t, h, w.Header().Get("Location"))
		var form hypermedia.Form
		if err := json.Unmarshal([]byte(body), &form); err != nil || status != 200 {
			t.Fatalf("thing = %v, status = %v, body = %v, err = %v; want no error and status == 200", thing, status, body, err)
		}
		slave := 0.0
		if i == 5 {
			slave = 1
		}
		if values := form.Values(); values["reference"] != titles[i] || values["root_slave"] != slave ||
			!strings.Contains(values["text_content"].(string), "hidden") {
			t.Errorf("%v leads to %v", thing, values)
		}
	}
	if some := search(trees.String(), "&limit=2"); len(some) != 2 || len(some[0]) != 1 {
		t.Errorf("some = %v; want len(some) == 2 and len(some[0]) == 1", some)
	}
	trees.Field, trees.Value = "title", "plain"
	if some := search(trees.String(), ""); len(some) != 2 {
		t.Errorf("some = %v; want len(some) == 2", some)
	}
	trees.Value = "none"
	if some := search(trees.String(), ""); len(some) != 0 {
		t.Errorf("some = %v; want len(some) == 0", some)
	}
	if some := search(
		hypermedia.Query{Kind: hypermedia.QueryInstances, Field: "default_specialise_title", Value: "a/b ?#%&+"}.String(),
		"&select_list=title,portal_type",
	); len(some) != 1 || some[0]["portal_type"] != "Software Instance" {
		t.Errorf(`some = %v; want len(some) == 1 and some[0]["portal_type"] == "Software Instance"`, some)
	}
	quoted := hypermedia.Query{Kind: hypermedia.QueryTrees, Field: "title", Value: `a "quoted" \ title`}
	for _, text := range []string{
		quoted.String(),
		strings.ReplaceAll(hypermedia.Query{Kind: hypermedia.QueryTrees, Field: "title", Value: "X"}.String(), "X", quoted.Value),
	} {
		if some := search(text, "&select_list=title"); len(some) != 1 || some[0]["title"] != quoted.Value {
			t.Errorf(`%s: some = %v; want len(some) == 1 and some[0]["title"] == quoted.Value`, text, some)
		}
	}
	for _, q := range []hypermedia.Query{
		{Kind: hypermedia.QueryInstances, Field: "default_specialise_title", Value: "plain"},
		{Kind: hypermedia.QueryReleases, Field: "default_aggregate_reference", Value: "C"},
	} {
		for _, thing := range search(q.String(), "&select_list=title") {
			if status, body := visit(t, h, thing["relative_url"].(string)); status != 200 {
				t.Errorf("%v leads to %d %s", thing, status, body)
			}
		}
	}
	if some := search(
		hypermedia.Query{Kind: hypermedia.QueryReleases, Field: "default_aggregate_reference", Value: "C"}.String(),
		"&select_list=url_string,slap_state",
	); len(some) != 1 || some[0]["url_string"] != demo || some[0]["slap_state"] != proto.Available {
		t.Errorf(
			"some = %v"+
				`; want len(some) == 1 and some[0]["url_string"] == demo and some[0]["slap_state"] == `+
				"proto.Available",
			some,
		)
	}
	for link, want := range map[string]int{
		"/hateoas": 200, "/hateoas/?mode=search&query=x": 400, "/hateoas/?mode=search": 400, "/hateoas/?mode=dance": 400,
		"/hateoas/?mode=traverse": 400,
		"/hateoas/?mode=search&limit=x&query=" + url.QueryEscape(hypermedia.Query{Kind: hypermedia.QueryTrees}.String()): 400,
		"/hateoas/?mode=traverse&relative_url=https://evil.example/hateoas/":                                             400,
		"/hateoas/?mode=traverse&relative_url=//evil.example/hateoas/":                                                   400,
		"/hateoas/?%zz": 400,
		"/hateoas/?mode=search&query=" + url.QueryEscape(
			`portal_type:("Software Instance", "Slave Instance") AND validation_state:validated`,
		): 400,
		"/hateoas/partitions/none": 404, "/hateoas/computers/none": 404, "/hateoas/nothing/here": 404,
		"/hateoas/computers/C/releases/none": 404,
	} {
		if status, body := visit(t, h, link); status != want {
			t.Errorf("%s: status = %d body = %s; want status == want", link, status, body)
		}
	}
	// A user sees what is his.
	mine := web.New(r.Master, wire.Options{Who: func(*http.Request) (access.Who, error) { return access.Who{User: "somebody"}, nil }})
	if status, body := visit(
		t, mine,
		"/hateoas/?mode=search&select_list=title&query="+url.QueryEscape(hypermedia.Query{Kind: hypermedia.QueryTrees}.String()),
	); status != 200 || strings.Contains(body, "title") {
		t.Errorf(`status = %v, body = %v; want status == 200 and body without "title"`, status, body)
	}
	if status, body := visit(t, mine, "/hateoas/partitions/plain"); status != 404 {
		t.Errorf("status = %v, body = %v; want status == 404", status, body)
	}
	if status, body := visit(t, mine, "/hateoas/computers/C"); status != 403 {
		t.Errorf("status = %v, body = %v; want status == 403", status, body)
	}
}

// Of a tree of which its node has said nothing yet that is told, and what it says from then on.
func TestTreeStatus(t *testing.T) {
	r := newRig(t, master.Options{Computer: "C"})
	r.format("C", 1)
	r.ask(proto.Request{Title: "x"})
	h := rpc.New(r.Master, wire.Options{})
	if status, body := call(t.Context(), h, "slapos.get.v0.instance_tree", `{"title":"x"}`); status != http.StatusOK ||
		!strings.Contains(body, `"access_status_message":"#error no data found for C-p0"`) {
		t.Errorf(
			"status = %v, body = %v"+
				"; want status == http.StatusOK and body with `\"access_status_message\":\"#error no data "+
				"found for C-p0\"`",
			status, body,
		)
	}
	if err := r.Statuses.InstanceReported(t.Context(), access.Anybody, "C", "p0", proto.Started); err != nil {
		t.Fatal(err)
	}
	if status, body := call(t.Context(), h, "slapos.get.v0.instance_tree", `{"title":"x"}`); status != http.StatusOK ||
		!strings.Contains(body, `"access_status_message":"#access started"`) {
		t.Errorf(
			"status = %v, body = %v"+
				"; want status == http.StatusOK and body with `\"access_status_message\":\"#access started\"`",
			status, body,
		)
	}
	if status, body := call(t.Context(), h, "slapos.get.v0.instance_tree", `{"title":"y"}`); status != http.StatusForbidden {
		t.Errorf("status = %v, body = %v; want status == http.StatusForbidden", status, body)
	}
}
