package jsonapi_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
	"github.com/hostler-project/hostler/slapos/slaptest"
)

func method(t testing.TB, name string) *jsonapi.Method {
	t.Helper()
	m, ok := jsonapi.FindMethod(name)
	if !ok {
		t.Fatal("no method " + name)
	}
	return m
}

func bigInt(text string) *big.Int {
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		panic(text)
	}
	return n
}

var sameInt = cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })

func asJSON(t testing.TB, data []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: err = %v; want no error", data, err)
	}
	return v
}

func TestCallBothWays(t *testing.T) {
	for name, c := range map[string]struct {
		call jsonapi.Call
		json string
	}{
		"slapos.get.v0.hateoas_url": {jsonapi.Call{}, `{}`},
		"slapos.put.v0.compute_node_format": {jsonapi.Call{Computer: "C", Partitions: []jsonapi.Partition{{
			ID: "p0", Addresses: []jsonapi.Address{
				{IP: "10.0.0.1", Interface: "tap0", Netmask: "255.255.255.255", Gateway: "g", Network: "n"}, {IP: "::1"}}}, {ID: "p1"}}},
			`{"computer_guid": "C", "compute_partition_list": [{"partition_id": "p0", "ip_list": [{"ip-address": "10.0.0.1", "network-interface": "tap0",
			"netmask": "255.255.255.255", "gateway-ip-address": "g", "network-address": "n"}, {"ip-address": "::1"}]}, {"partition_id": "p1"}]}`},
		"slapos.put.v0.compute_node_bang": {jsonapi.Call{Computer: "C"}, `{"computer_guid": "C", "message": ""}`},
		"slapos.post.v0.software_installation": {
			jsonapi.Call{Computer: "C", Release: "u", State: "destroyed"},
			`{"computer_guid": "C", "software_release_uri": "u", "state": "destroyed"}`,
		},
		"slapos.post.v0.software_instance": {jsonapi.Call{Title: "é<", Release: "u", Type: "", Shared: true,
			State: "stopped", Filter: proto.Dictionary{"computer_guid": "C", "retention_delay": 1.5},
			Parameters: proto.Dictionary{
				"a": int64(1), "b": 2.5, "c": true, "d": nil, "e": proto.List{"x", proto.Dictionary{}},
				"f": bigInt("100000000000000000000"),
			}},
			`{"title": "é<", "software_release_uri": "u", "software_type": "", "shared": true, "state": "stopped", "sla_parameters": {"computer_guid": "C", "retention_delay": 1.5},
			"parameters": {"a": 1, "b": 2.5, "c": true, "d": null, "e": ["x", {}], "f": 100000000000000000000}}`},
		"slapos.put.v0.software_instance_connection_parameter": {
			jsonapi.Call{Instance: "g", Connection: proto.Dictionary{}},
			`{"instance_guid": "g", "connection_parameter_dict": {}}`,
		},
	} {
		m := method(t, name)
		got, err := m.Encode(&c.call)
		if err != nil {
			t.Errorf("%s: err = %v; want no error", name, err)
			continue
		}
		if d := cmp.Diff(asJSON(t, []byte(c.json)), asJSON(t, got)); d != "" {
			t.Errorf(`%s: d = %s; want d == ""`, name, d)
		}
		back, err := m.Decode([]byte(c.json))
		if err != nil {
			t.Errorf("%s: err = %v; want no error", name, err)
		} else if d := cmp.Diff(&c.call, back, sameInt); d != "" {
			t.Errorf(`%s: d = %s; want d == ""`, name, d)
		}
	}
	// What must be there is, also where nobody said it.
	for name, want := range map[string]string{
		"slapos.put.v0.compute_node_format":                    `{"compute_partition_list":[],"computer_guid":""}`,
		"slapos.put.v0.software_instance_connection_parameter": `{"connection_parameter_dict":{},"instance_guid":""}`,
	} {
		if got, err := method(t, name).Encode(&jsonapi.Call{}); err != nil || string(got) != want {
			t.Errorf("%s: got = %s, err = %v; want no error and string(got) == want", name, got, err)
		}
	}
}

func TestCallRefused(t *testing.T) {
	const request, format = "slapos.post.v0.software_instance", "slapos.put.v0.compute_node_format"
	with := func(more string) string {
		if strings.HasPrefix(more, `, "title"`) {
			return `{"software_release_uri": "u", "software_type": "y"` + more + `}`
		}
		return `{"title": "t", "software_release_uri": "u", "software_type": "y"` + more + `}`
	}
	for _, c := range []struct{ method, body, says string }{
		{request, "", "not a JSON object"}, {request, "null", "not a JSON object"}, {request, "[]", "not a JSON object"},
		{request, "{} {}", "not a JSON object"},
		{request, "\xff", "not UTF-8"},
		{request, with(`, "state": "started", "state": "destroyed"`), `the key "state" is there twice`},
		{"slapos.get.v0.hateoas_url", `{"x": 1}`, `"x" is a key that slapos.get.v0.hateoas_url does not take`},
		{request, with(`, "Shared": true`), `"Shared" is a key`},
		{request, `{"title": "t"}`, `"software_release_uri" is missing`},
		{request, `{"title": null, "software_release_uri": "u", "software_type": "y"}`, "title: expected a text, got none"},
		{request, with(`, "title": 1`), "title: expected a text, got a number"},
		{request, with(`, "title": "` + strings.Repeat("é", 201) + `"`), "title: longer than 200"},
		{request, with(`, "state": "running"`), `state: "running" is none of started, stopped, destroyed`},
		{request, with(`, "state": ""`), `state: ""`},
		{request, with(`, "shared": 1`), "shared: expected a boolean, got a number"},
		{request, with(`, "parameters": []`), "parameters: expected an object, got a list"},
		{request, with(`, "parameters": {"a": 1e999}`), `parameters.a: a number that is too large`},
		{request, with(`, "parameters": {"a": ` + strings.Repeat("9", 5000) + `}`), `a number that is too large`},
		{request, with(`, "parameters": {"a": ["\u0001"]}`), `parameters.a[0]: XML cannot carry the character U+0001`},
		{request, with(`, "parameters": {"\u0000": 1}`), "U+0000"},
		{request, with(`, "title": "\ud800"`), "title: half of a surrogate pair"},
		{request, with(`, "parameters": ` + strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200)), "deeper than 100"},
		{request, with(`, "sla_parameters": {"computer_guid": 1}`), "sla_parameters.computer_guid: expected a text, got a number"},
		{request, with(`, "sla_parameters": {"retention_delay": "1"}`), "sla_parameters.retention_delay: expected a number, got a text"},
		{format, `{"computer_guid": "C", "compute_partition_list": {}}`, "compute_partition_list: expected a list, got a dictionary"},
		{format, `{"computer_guid": "C", "compute_partition_list": [1]}`, "compute_partition_list[0]: expected an object"},
		{format, `{"computer_guid": "C", "compute_partition_list": [{}]}`, "partition_id: expected a text, got none"},
		{format, `{"computer_guid": "C", "compute_partition_list": [{"partition_id": "p", "ip_list": 1}]}`, "ip_list: expected a list"},
		{
			format, `{"computer_guid": "C", "compute_partition_list": [{"partition_id": "p", "ip_list": [{}]}]}`,
			"ip-address: expected a text",
		},
		{format, `{"computer_guid": "C", "compute_partition_list": [{"partition_id": "p", "ip_list": [1]}]}`, "ip_list: expected objects"},
		{
			"slapos.put.v0.software_installation_reported_state",
			`{"computer_guid": "C", "software_release_uri": "u", "reported_state": "started"}`,
			"none of building, available, destroyed",
		},
		{"slapos.put.v0.compute_node_bang", `{"computer_guid": "C", "message": "` + strings.Repeat("x", proto.MaxSize) + `"}`, "at most"},
	} {
		got, err := method(t, c.method).Decode([]byte(c.body))
		if got != nil || !errors.Is(err, proto.ErrMalformed) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s %.120s: %v, %v; want an error with %q", c.method, c.body, got, err, c.says)
		}
	}
	if c, err := method(t, request).Decode([]byte(with(`, "title": "a \ufffd"`))); err != nil || c.Title != "a \ufffd" {
		t.Errorf("c = %v, err = %v; want no error and c.Title == \"a \\ufffd\"", c, err)
	}
	if _, ok := jsonapi.FindMethod("slapos.get.v0.nothing"); ok {
		t.Error("found a method that there is not")
	}
	for says, c := range map[string]jsonapi.Call{
		"shared: slapos.get.v0.instance_tree takes no such key": {Title: "t", Shared: true},
		"title: ": {Title: strings.Repeat("x", 201)},
	} {
		if _, err := method(t, "slapos.get.v0.instance_tree").Encode(&c); !errors.Is(err, proto.ErrUnwritable) ||
			!strings.Contains(err.Error(), says) {
			t.Errorf("%v; want %q", err, says)
		}
	}
}

// A number stays what it is: a float does not become an integer on its way.
func TestDictionaryAsJSON(t *testing.T) {
	got, err := json.Marshal(proto.Dictionary{"f": 5.0, "e": 1e22, "i": int64(5), "n": 7,
		"b": bigInt("100000000000000000000"), "t": proto.Tuple{"<é>", nil, true},
		"s": proto.Set{}, "d": proto.Dictionary{"x": proto.List{}}})
	if want := `{"b":100000000000000000000,"d":{"x":[]},"e":1e+22,"f":5.0,"i":5,"n":7,"s":[],"t":["\u003cé\u003e",null,true]}`; err != nil ||
		string(got) != want {
		t.Errorf("got = %s, err = %v; want no error and string(got) == want", got, err)
	}
	if got, err := json.Marshal(proto.Dictionary(nil)); err != nil || string(got) != "{}" {
		t.Errorf(`got = %s, err = %v; want no error and string(got) == "{}"`, got, err)
	}
	self := proto.List{nil}
	self[0] = self
	for says, v := range map[string]any{"nan": math.NaN(), "inf": math.Inf(1), "Object": &proto.Object{}, "complex": 1i, "deeper": self} {
		got, err := json.Marshal(proto.Dictionary{"a": v})
		if !errors.Is(err, proto.ErrUnwritable) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s, %v; want an error with %q", got, err, says)
		}
	}
}

func TestDocumentHasAllKeys(t *testing.T) {
	got, err := json.Marshal(jsonapi.Document{Title: "t", Addresses: [][2]string{{"tap0", "::1"}}})
	want := `{"title":"t","instance_guid":"","software_release_uri":"","software_type":"","state":"","connection_parameters":{},"parameters":{},"shared":false,` +
		`"root_instance_title":"","ip_list":[["tap0","::1"]],"full_ip_list":[],"sla_parameters":{},"computer_guid":"","compute_partition_id":"",` +
		`"processing_timestamp":0,"access_status_message":""}`
	if err != nil || string(got) != want {
		t.Errorf("got = %s, err = %v; want no error and string(got) == want", got, err)
	}
	if got, err := json.Marshal(jsonapi.Listing{}); err != nil || string(got) != `{"result_list":[]}` {
		t.Errorf("got = %s, err = %v; want no error and string(got) == `{\"result_list\":[]}`", got, err)
	}
}

// Every recorded call is taken or refused as it was then, and is written again with the same
// meaning; so are the answers.
func TestCapturedCalls(t *testing.T) {
	count := map[string]int{}
	for _, e := range slaptest.Exchanges(t, "") {
		m, ok := jsonapi.FindMethod(strings.TrimPrefix(e.Path, "/"))
		if !ok || e.Method != "POST" {
			if ok := strings.HasPrefix(e.Path, "/slapos."); ok && e.Method == "POST" {
				t.Errorf("%s: no method %s", e.Name(), e.Path)
			}
			continue
		}
		count[m.Name]++
		call, err := m.Decode([]byte(e.Body))
		if e.Status == http.StatusBadRequest {
			if !errors.Is(err, proto.ErrMalformed) {
				t.Errorf("%s: taken: %v", e.Name(), err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: err = %v; want no error", e.Name(), err)
			continue
		}
		again, err := m.Encode(call)
		if err != nil {
			t.Errorf("%s: err = %v; want no error", e.Name(), err)
			continue
		}
		asked := asJSON(t, []byte(e.Body)).(map[string]any)
		if asked["shared"] == false {
			delete(asked, "shared") // says nothing
		}
		if d := cmp.Diff(any(asked), asJSON(t, again)); d != "" {
			t.Errorf(`%s: d = %s; want d == ""`, e.Name(), d)
		}
		answer, _ := asJSON(t, []byte(e.Answer)).(map[string]any)
		var as any
		switch {
		case e.Status != http.StatusOK:
			as = &jsonapi.Failure{}
		case answer["result_list"] != nil:
			as = &jsonapi.Listing{}
		case answer["access_status_message"] != nil:
			as = &jsonapi.Document{}
		case answer["certificate"] != nil:
			as = &proto.Certificate{}
		case answer["type"] != nil:
			as = &jsonapi.Done{}
		default:
			continue
		}
		if err := json.Unmarshal([]byte(e.Answer), as); err != nil {
			t.Errorf("%s: err = %v; want no error", e.Name(), err)
		} else if again, err = json.Marshal(as); err != nil {
			t.Errorf("%s: err = %v; want no error", e.Name(), err)
		} else if d := cmp.Diff(any(answer), asJSON(t, again)); d != "" {
			t.Errorf(`%s: d = %s; want d == ""`, e.Name(), d)
		}
	}
	for _, m := range jsonapi.Methods() {
		if count[m.Name] == 0 {
			t.Errorf("%s was never recorded", m.Name)
		}
	}
}

// A call that is taken holds what XML can carry, and is taken again as it is written.
func FuzzCall(f *testing.F) {
	f.Add(
		"slapos.post.v0.software_instance",
		[]byte(
			`{"title": "t", "software_release_uri": "u", "software_type": "y", "parameters": {"a": [1, 2.5, null, "é\n"]}, "state": "started", "shared": true, "sla_parameters": {"computer_guid": "C"}}`,
		),
	)
	f.Add(
		"slapos.put.v0.compute_node_format",
		[]byte(`{"computer_guid": "C", "compute_partition_list": [{"partition_id": "p", "ip_list": [{"ip-address": "::1", "more": 1}]}]}`),
	)
	f.Add("slapos.get.v0.hateoas_url", []byte(`{}`))
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		m, ok := jsonapi.FindMethod(name)
		if !ok {
			return
		}
		c, err := m.Decode(body)
		if err != nil {
			if !errors.Is(err, proto.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		for _, d := range []proto.Dictionary{c.Parameters, c.Filter, c.Connection} {
			if _, err := proto.Marshal(d); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := proto.Marshal(proto.List{c.Title, c.Computer, c.Message, c.Release, c.Instance}); err != nil {
			t.Fatal(err)
		}
		again, err := m.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		back, err := m.Decode(again)
		if err != nil {
			t.Fatalf("%s: err = %v; want no error", again, err)
		}
		if first, second := values(t, c), values(t, back); first != second {
			t.Fatalf("first = %s\nsecond = %s; want first == second", first, second)
		}
	})
}

func values(t *testing.T, c *jsonapi.Call) string {
	doc, err := proto.Marshal(proto.List{
		c.Parameters, c.Filter, c.Connection, c.Title, c.Shared, c.State, c.ReportedState, c.Usage, c.Partition,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}
