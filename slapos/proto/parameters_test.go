package proto_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostler-project/hostler/slapos/proto"
)

const declaration = "<?xml version='1.0' encoding='utf-8'?>\n"

func TestParametersBothWays(t *testing.T) {
	for _, c := range []struct {
		parameters proto.Dictionary
		xml        string
		back       proto.Dictionary // nil: the same
	}{
		{proto.Dictionary{}, "<instance/>\n", nil},
		{nil, "<instance/>\n", proto.Dictionary{}},
		{proto.Dictionary{"z": "1", "a": " 2 ", "é": "日"},
			"<instance>\n  <parameter id=\"a\"> 2 </parameter>\n  <parameter id=\"z\">1</parameter>\n  <parameter id=\"é\">日</parameter>\n</instance>\n",
			nil},
		{proto.Dictionary{"": "e", "k \"q\" 'p' <&>\t\n\r": "v \"q\" <&>\t\n\r"},
			"<instance>\n  <parameter id=\"\">e</parameter>\n" +
				"  <parameter id=\"k &quot;q&quot; 'p' &lt;&amp;&gt;&#9;&#10;&#13;\">v \"q\" &lt;&amp;&gt;\t\n&#13;</parameter>\n</instance>\n", nil},
		{proto.Dictionary{"e": "", "n": nil},
			"<instance>\n  <parameter id=\"e\"></parameter>\n  <parameter id=\"n\">None</parameter>\n</instance>\n",
			proto.Dictionary{"e": nil, "n": "None"}},
	} {
		got, err := proto.FormatParameters(c.parameters)
		if err != nil || got != declaration+c.xml {
			t.Errorf("FormatParameters(%v) = %s, %v", c.parameters, got, err)
		}
		want := c.back
		if want == nil {
			want = c.parameters
		}
		back, err := proto.ParseParameters(got)
		if d := cmp.Diff(want, back); err != nil || d != "" {
			t.Errorf("ParseParameters(%s): %v %s", got, err, d)
		}
	}
}

func TestParametersRead(t *testing.T) {
	for doc, want := range map[string]proto.Dictionary{
		"": {},
		`<instance><parameter id="a">1</parameter><parameter id="a">2</parameter></instance>`:                                    {"a": "1 2"},
		`<instance><parameter id="a"/><parameter id="a">2</parameter><parameter id="a"/></instance>`:                             {"a": "2"},
		`<?xml version="1.0" encoding="UTF-8"?><instance> text <other id="x"><parameter id="y">1</parameter></other></instance>`: {},
		`<instance><parameter id="_">{"a": "&lt;"}</parameter></instance> `:                                                      {"_": `{"a": "<"}`},
	} {
		got, err := proto.ParseParameters(doc)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf(`%s: err = %v d = %s; want no error and d == ""`, doc, err, d)
		}
	}
	for doc, says := range map[string]string{
		" ":          "empty document",
		"x":          "text between",
		"<instance>": "unexpected EOF",
		`<instance><parameter>1</parameter></instance>`:                   "without an id",
		`<instance><parameter id="a">1<b/></parameter></instance>`:        "an element inside <parameter>",
		`<instance/><instance/>`:                                          "after the end",
		`<!DOCTYPE a [<!ENTITY b "c">]><instance/>`:                       "document type",
		`<instance><!DOCTYPE a></instance>`:                               "document type",
		`<instance><parameter id="a">&b;</parameter></instance>`:          "entity",
		"<instance>" + strings.Repeat(" ", proto.MaxSize) + "</instance>": "at most",
		"<instance><parameter id=\"a\">\x01</parameter></instance>":       "illegal character",
	} {
		got, err := proto.ParseParameters(doc)
		if got != nil || !errors.Is(err, proto.ErrMalformed) || !strings.Contains(err.Error(), says) {
			t.Errorf("ParseParameters(%.100s) = %v, %v; want an error with %q", doc, got, err, says)
		}
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct {
		value any
		want  string
	}{
		{"a 'b'", "a 'b'"}, {8080, "8080"}, {int64(-1), "-1"}, {bigInt("10000000000000000000000000"), "10000000000000000000000000"},
		{1.5, "1.5"}, {5.0, "5.0"}, {1e22, "1e+22"}, {true, "True"}, {false, "False"}, {nil, "None"},
		{proto.List{int64(1), "a", nil, proto.List{}}, "[1, 'a', None, []]"},
		{proto.Tuple{}, "()"}, {proto.Tuple{"a"}, "('a',)"}, {proto.Tuple{"a", true}, "('a', True)"},
		{proto.Set{}, "set()"}, {proto.Set{int64(1), int64(2)}, "{1, 2}"},
		{proto.Dictionary{"b": proto.Dictionary{}, "a": 0.1}, "{'a': 0.1, 'b': {}}"},
		{proto.List{`it's`, `"`, `'"`, `\`, "a\tb\nc\rd\x01\x7f\u0085", "é日\u2028\ue000\U000e0001"},
			`["it's", '"', '\'"', '\\', 'a\tb\nc\rd\x01\x7f\x85', 'é日\u2028\ue000\U000e0001']`},
	} {
		got, err := proto.Text(c.value)
		if err != nil || got != c.want {
			t.Errorf("Text(%#v) = %s, %v; want %s", c.value, got, err, c.want)
		}
	}
	self := proto.List{nil}
	self[0] = self
	for says, v := range map[string]any{"struct {}": struct{}{}, "deeper than": self, "proto.Object": proto.List{&proto.Object{}}} {
		if _, err := proto.Text(v); !errors.Is(err, proto.ErrUnwritable) || !strings.Contains(err.Error(), says) {
			t.Errorf("Text: %v; want an error with %q", err, says)
		}
	}
	for place, p := range map[string]proto.Dictionary{
		"slap: a: ": {"a": "s3cret\x01"}, "slap: a parameter's name: ": {"\x01": "s3cret"},
		"slap: c: byte 1": {"c": "a\xff"}, "slap: d: values of type": {"d": struct{}{}},
	} {
		_, err := proto.FormatParameters(p)
		if !errors.Is(err, proto.ErrUnwritable) || !strings.HasPrefix(err.Error(), place) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v; want an error that begins with %q", err, place)
		}
	}
}
