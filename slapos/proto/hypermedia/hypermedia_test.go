package hypermedia_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/hypermedia"
	"github.com/hostler-project/hostler/slapos/slaptest"
)

// The variables and most of the templates are those of RFC 6570 itself.
func TestExpand(t *testing.T) {
	variables := map[string]any{
		"count": []string{"one", "two", "three"}, "dom": []string{"example", "com"}, "dub": "me/too",
		"hello": "Hello World!", "half": "50%", "var": "value",
		"who": "fred", "base": "http://example.com/home/", "path": "/foo/bar", "list": []string{"red", "green", "blue"},
		"keys": map[string]string{"semi": ";", "dot": ".", "comma": ","}, "v": "6", "x": "1024", "y": 768, "empty": "",
		"empty_keys": map[string]string{}, "empty_list": []string{},
		"ü": "no", "semi": ";", "name": "é ü",
	}
	for template, want := range map[string]string{
		"": "", "plain": "plain", "é b": "%C3%A9%20b", "a%20b": "a%20b",
		"{count}": "one,two,three", "{count*}": "one,two,three", "{/count}": "/one,two,three",
		"{/count*}": "/one/two/three", "{;count}": ";count=one,two,three",
		"{;count*}": ";count=one;count=two;count=three", "{?count}": "?count=one,two,three",
		"{?count*}": "?count=one&count=two&count=three", "{&count*}": "&count=one&count=two&count=three",
		"{var}": "value", "{hello}": "Hello%20World%21", "{half}": "50%25", "O{empty}X": "OX", "O{undef}X": "OX",
		"{x,y}": "1024,768", "{x,hello,y}": "1024,Hello%20World%21,768",
		"?{x,empty}": "?1024,", "?{x,undef}": "?1024", "?{undef,y}": "?768", "{var:3}": "val", "{var:30}": "value", "{name:1}": "%C3%A9",
		"{list}": "red,green,blue", "{list*}": "red,green,blue", "{keys}": "comma,%2C,dot,.,semi,%3B",
		"{keys*}": "comma=%2C,dot=.,semi=%3B",
		"{+var}":  "value", "{+hello}": "Hello%20World!", "{+half}": "50%25",
		"{base}index": "http%3A%2F%2Fexample.com%2Fhome%2Findex", "{+base}index": "http://example.com/home/index",
		"O{+empty}X": "OX", "{+path}/here": "/foo/bar/here", "here?ref={+path}": "here?ref=/foo/bar",
		"{+x,hello,y}": "1024,Hello%20World!,768", "{+path:6}/here": "/foo/b/here",
		"{+keys*}": "comma=,,dot=.,semi=;", "{#var}": "#value", "{#path,x}/here": "#/foo/bar,1024/here", "{#undef}": "", "{#empty}X": "#X",
		"X{.var}": "X.value", "X{.x,y}": "X.1024.768", "X{.list*}": "X.red.green.blue", "X{.empty_keys}": "X", "X{.empty}": "X.",
		"{/var,x}/here": "/value/1024/here", "{/var,empty}": "/value/", "{/list*,path:4}": "/red/green/blue/%2Ffoo",
		"{/keys*}": "/comma=%2C/dot=./semi=%3B",
		"{;who}":   ";who=fred", "{;empty}": ";empty", "{;v,empty,who}": ";v=6;empty;who=fred",
		"{;hello:5}": ";hello=Hello", "{;keys*}": ";comma=%2C;dot=.;semi=%3B",
		"{?x,y,undef}": "?x=1024&y=768", "{?x,y,empty}": "?x=1024&y=768&empty=",
		"{?keys}": "?keys=comma,%2C,dot,.,semi,%3B", "{?keys*}": "?comma=%2C&dot=.&semi=%3B",
		"?fixed=yes{&x}":            "?fixed=yes&x=1024",
		"{?empty_list,empty_keys*}": "",
	} {
		if got, err := hypermedia.Expand(template, variables); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", template, got, err, want)
		}
	}
	for _, template := range []string{"{", "a}", "{}", "{?}", "{a b}", "{=x}", "{var:0}", "{var:x}", "{var:3*}", "{ü}", "{x,}", "{x{y}}"} {
		if got, err := hypermedia.Expand(template, variables); !errors.Is(err, proto.ErrMalformed) {
			t.Errorf("%s: got = %s, err = %v; want error proto.ErrMalformed", template, got, err)
		}
	}
	if _, err := hypermedia.Expand("{x}", map[string]any{"x": 1.5}); !errors.Is(err, proto.ErrMalformed) {
		t.Error(err)
	}
}

func TestQuery(t *testing.T) {
	for text, want := range map[string]hypermedia.Query{
		`portal_type:"Instance Tree" AND validation_state:validated`: {Kind: "Instance Tree"},
		`portal_type:"Instance Tree" AND validation_state:validated AND title:="a "b" AND é="`: {
			Kind: "Instance Tree", Field: "title", Value: `a "b" AND é=`,
		},
		`portal_type:"Compute Node" AND validation_state:validated AND reference:="COMP-1"`: {
			Kind: "Compute Node", Field: "reference", Value: "COMP-1",
		},
		`portal_type:"Compute Node" AND validation_state:validated AND reference:=""`: {
			Kind: "Compute Node", Field: "reference",
		},
		`portal_type:("Software Instance", "Slave Instance") AND validation_state:validated AND default_specialise_title:="a"`: {
			Kind: hypermedia.QueryInstances, Field: "default_specialise_title", Value: "a",
		},
		`portal_type:"Software Installation" AND validation_state:validated AND default_aggregate_reference:="COMP-1"`: {
			Kind: hypermedia.QueryReleases, Field: "default_aggregate_reference", Value: "COMP-1",
		},
	} {
		got, ok := hypermedia.ParseQuery(text)
		if !ok || got != want || got.String() != text && !strings.Contains(want.Value, `"`) {
			t.Errorf(
				"%s: got = %+v, ok = %v, got = %s"+
					"; want ok and got == want and (got.String() == text or want.Value with `\"`)",
				text, got, ok, got,
			)
		}
	}
	for _, text := range []string{"", `portal_type:"X"`, `portal_type:"X" AND validation_state:validated`,
		`portal_type:"Compute Node" AND validation_state:validated AND title:="a"`,
		`portal_type:"Software Instance" AND validation_state:validated`,
		`portal_type:"Instance Tree" AND validation_state:validated AND`,
		`portal_type:"Instance Tree" AND validation_state:validated AND title:="a`,
		`portal_type:"" AND validation_state:validated`, `portal_type:"X" AND validation_state:validated AND`,
		`portal_type:"X" AND validation_state:validated OR title:="a"`, `portal_type:"X" AND validation_state:validated AND title:="a`,
		`portal_type:"X" AND validation_state:validated AND secret:="a"`,
		`portal_type:"X" AND validation_state:validated AND title="a"`, `portal_type:X`} {
		if q, ok := hypermedia.ParseQuery(text); ok {
			t.Errorf("%s: q = %+v; want !ok", text, q)
		}
	}
}

// A value is found whether its quotes are escaped or not.
func TestQuotedQuery(t *testing.T) {
	for value, written := range map[string]string{`a`: `a`, `a "b"`: `a \"b\"`, `a\`: `a\\`, `\"`: `\\\"`, `é\n`: `é\\n`} {
		q := hypermedia.Query{Kind: hypermedia.QueryTrees, Field: "title", Value: value}
		text := q.String()
		if !strings.HasSuffix(text, ` AND title:="`+written+`"`) {
			t.Errorf("%s is written %s", value, text)
		}
		read, ok := hypermedia.ParseQuery(text)
		if values := read.Values(); !ok || values[0] != written || values[len(values)-1] != value {
			t.Errorf("%s is read as %q", text, values)
		}
	}
}

func TestFormValues(t *testing.T) {
	var form hypermedia.Form
	if err := json.Unmarshal([]byte(`{"_embedded": {"_view": {"form_id": {"default": "f", "key": "k", "type": "StringField"}, "my_reference": {"default": "r", "type": "StringField"},
		"your_count": {"default": 2, "type": "IntegerField"}, "my_list": {"default": [], "type": "ListBox"}, "my_text": {"default": null, "type": "TextAreaField"}}},
		"_links": {"type": {"name": "Instance Tree"}}}`), &form); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"form_id": "f", "reference": "r", "count": 2.0, "text": nil}
	if d := cmp.Diff(want, form.Values()); d != "" || form.Links.Type.Name != "Instance Tree" {
		t.Errorf(`d = %v, form.Links = %v; want d == "" and form.Links.Type.Name == "Instance Tree"`, d, form.Links)
	}
}

// The recorded documents are read and written again with the same meaning, and the links that
// clients followed come of them.
func TestCapturedHypermedia(t *testing.T) {
	var roots, found, forms int
	var root hypermedia.Root
	for _, e := range slaptest.Exchanges(t, "") {
		if !strings.HasPrefix(e.Path, "/hateoas/") || e.Status != 200 {
			continue
		}
		link, err := url.Parse(e.Path)
		if err != nil {
			t.Fatal(err)
		}
		as := any(&hypermedia.Form{})
		if link.RawQuery == "" && link.Path == "/hateoas/" {
			roots++
			as = &root
		} else if query := link.Query(); query.Get("mode") == "search" {
			found++
			as = &hypermedia.Results{}
			if q, ok := hypermedia.ParseQuery(query.Get("query")); !ok || q.String() != query.Get("query") {
				t.Errorf(`%s: q = %+v; want ok and q.String() == query.Get("query")`, e.Name(), q)
			}
			href, err := hypermedia.Expand(
				root.Links.Search.Href,
				map[string]any{"query": query.Get("query"), "select_list": strings.Split(query.Get("select_list"), ",")},
			)
			if err != nil || !strings.HasSuffix(href, e.Path) && !sameURL(t, href, link) {
				t.Errorf(
					"%s: href = %s, err = %v"+
						"; want no error and (strings.HasSuffix(href, e.Path) or sameURL(t, href, link))",
					e.Name(), href, err,
				)
			}
		} else {
			forms++
		}
		if err := json.Unmarshal([]byte(e.Answer), as); err != nil {
			t.Errorf("%s: err = %v; want no error", e.Name(), err)
			continue
		}
		again, err := json.Marshal(as)
		if err != nil {
			t.Errorf("%s: err = %v; want no error", e.Name(), err)
		} else if d := cmp.Diff(asJSON(t, []byte(e.Answer)), asJSON(t, again)); d != "" {
			t.Errorf(`%s: d = %s; want d == ""`, e.Name(), d)
		}
	}
	if roots < 5 || found < 6 || forms < 3 {
		t.Errorf("only %d, %d and %d", roots, found, forms)
	}
}

// sameURL says whether a URL asks for what a link of the same master does.
func sameURL(t *testing.T, href string, link *url.URL) bool {
	t.Helper()
	u, err := url.Parse(href)
	if err != nil {
		t.Fatal(err)
	}
	return u.Path == link.Path && cmp.Equal(u.Query(), link.Query())
}

func asJSON(t testing.TB, data []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s is not JSON: %v", data, err)
	}
	return v
}
