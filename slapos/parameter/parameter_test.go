package parameter_test

import (
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/slapos/parameter"
	"github.com/hostler-project/hostler/slapos/proto"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPairs(t *testing.T) {
	got, err := parameter.Pairs([]string{"a=1", "b=c=d", "e="})
	if diff := cmp.Diff(proto.Dictionary{"a": "1", "b": "c=d", "e": ""}, got); diff != "" || err != nil {
		t.Errorf(`err = %v diff = %s; want diff == "" and no error`, err, diff)
	}
	for _, bad := range [][]string{{"a"}, {"=a"}, {"a=1", "a=1"}} {
		if _, err := parameter.Pairs(bad); err == nil {
			t.Errorf("bad = %q; want an error", bad)
		}
	}
}

func TestFile(t *testing.T) {
	wrapped := func(text string) proto.Dictionary { return proto.Dictionary{"_": text} }
	for _, c := range []struct {
		name, text, form string
		want             proto.Dictionary
	}{
		// As Python's json.dumps writes it.
		{"p.json", `{"z":1,"a":[true,null,1.50,1e16,{}],"é":"\u00e9/\ud83d\ude00\n\"\u007f"}`, parameter.JSON,
			wrapped(`{"z": 1, "a": [true, null, 1.5, 1e+16, {}], "\u00e9": "\u00e9/\ud83d\ude00\n\"\u007f"}`)},
		{
			"p.json", `{"n":123456789012345678901234567890, "s":[]}`, parameter.JSON,
			wrapped(`{"n": 123456789012345678901234567890, "s": []}`),
		},
		{"p.JSON", `{"port":80,"on":true,"x":1.5,"none":null,"l":["a",{"b":1}]}`, parameter.XML,
			proto.Dictionary{"port": int64(80), "on": true, "x": 1.5, "none": nil, "l": proto.List{"a", proto.Dictionary{"b": int64(1)}}}},
		{"p.json", `{"n":123456789012345678901234567890}`, parameter.XML, proto.Dictionary{"n": bigOf("123456789012345678901234567890")}},
		{
			"p.yaml", "b: [1, two, 3.5]\na:\n  x: yes text\n  y: true\n", parameter.JSON,
			wrapped(`{"a": {"x": "yes text", "y": true}, "b": [1, "two", 3.5]}`),
		},
		{"p.yml", "a: 1\n", parameter.XML, proto.Dictionary{"a": int64(1)}},
		{
			"p.xml",
			"<?xml version='1.0' encoding='utf-8'?>\n<instance>\n  <parameter id=\"a\">1</parameter>\n</instance>\n",
			parameter.JSON, proto.Dictionary{"a": "1"},
		},
	} {
		got, err := parameter.File(write(t, c.name, c.text), c.form)
		if diff := cmp.Diff(c.want, got, cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); diff != "" || err != nil {
			t.Errorf("%s c.text = %s: err = %v\ndiff = %s; want diff == \"\" and no error", c.name, c.text, err, diff)
		}
	}
}

func bigOf(text string) *big.Int {
	n, _ := new(big.Int).SetString(text, 10)
	return n
}

func TestBadFiles(t *testing.T) {
	for text, want := range map[string]string{
		"p.json:{\n\"a\":}":                     "line 2: ",
		"p.json:{\"a\":1,\"a\":2}":              `line 1: "a" is given twice`,
		"p.json:{} {}":                          "behind the end",
		"p.json:[1]":                            "parameters are an object",
		"p.json:":                               "unexpected EOF",
		"p.json:{\"a\":1e999}":                  "too large",
		"p.json:\xff":                           "not text in UTF-8",
		"p.json:" + strings.Repeat("[", 100000): "deeper than",
		"p.yaml:a: .inf":                        "no number inf",
		"p.yaml:a: 2026-01-01":                  "JSON has no values like",
		"p.yaml:1: a":                           "JSON has no values like",
		"p.yaml:- a":                            "parameters are an object",
		"p.xml:<instance>":                      "",
		"p.xml:<foo><parameter/></foo>":         "its root element is <foo>",
		"p.txt:a=1":                             "ends with .json, .yaml, .yml or .xml",
	} {
		name, text, _ := strings.Cut(text, ":")
		if _, err := parameter.File(write(t, name, text), parameter.JSON); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s text = %.40q: err = %v; want an error and err.Error() with want", name, text, err)
		}
	}
	if _, err := parameter.File("nothing.json", parameter.JSON); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

const software = `{"name":"Demo","serialisation":"json-in-xml","software-type":{
	"default":{"title":"Plain","request":"schemas/in.json","response":"out.json","index":1},
	"old":{"request":"schemas/in.json","serialisation":"xml","index":0},
	"guest":{"software-type":"default","shared":true,"request":"schemas/shared.json","index":2},
	"free":{"index":3}, "broken":{"request":"nothing.json","index":4}, "away":{"request":"file:///etc/hostname","index":5}}}`

const in = `{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"port":{"$ref":"defs.json#/port"}},"additionalProperties":false}`

func served(t *testing.T) string {
	t.Helper()
	files := map[string]string{"/software.cfg.json": software, "/schemas/in.json": in,
		"/schemas/defs.json":   `{"port":{"type":"integer","maximum":65535}}`,
		"/schemas/shared.json": `{"required":["url"]}`, "/bad.cfg.json": `{`}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text, ok := files[r.URL.Path]; ok {
			fmt.Fprint(w, text)
			return
		}
		http.Error(w, "no", map[bool]int{true: http.StatusNotFound, false: http.StatusForbidden}[r.URL.Path != "/denied.cfg.json"])
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestRelease(t *testing.T) {
	base := served(t)
	l := &parameter.Loader{}
	r, err := l.Release(t.Context(), base+"/software.cfg")
	if err != nil {
		t.Fatal(err)
	}
	if r.Name != "Demo" || len(r.Types) != 6 || r.Types[0].Name != "old" || r.Types[1].Response != base+"/out.json" {
		t.Errorf(
			"r = %+v"+
				`; want r.Name == "Demo" and len(r.Types) == 6 and r.Types[0].Name == "old" and `+
				`r.Types[1].Response == base+"/out.json"`,
			r,
		)
	}
	for name, want := range map[string]string{
		"": parameter.JSON, "RootSoftwareInstance": parameter.JSON, "old": parameter.XML, "unheard": parameter.JSON,
	} {
		if got := r.Form(name, false); got != want {
			t.Errorf("form of %q: %s", name, got)
		}
	}
	for _, c := range []struct {
		kind       string
		shared     bool
		parameters proto.Dictionary
		want       string // faults, or the error
	}{
		{"", false, proto.Dictionary{"_": `{"port": 80, "$schema": "x"}`}, "[]"},
		{"RootSoftwareInstance", false, proto.Dictionary{"_": `{"port": 65536}`}, "[/port: it is more than 65535]"},
		{"default", false, proto.Dictionary{"_": `{"prot": 1}`}, `["prot" is not known here; did you mean "port"?]`},
		{"default", false, proto.Dictionary{"_": `{`}, "[/_: it is no JSON: line 1: unexpected EOF]"},
		{"default", false, proto.Dictionary{"port": int64(5)}, "[]"},
		{"old", false, proto.Dictionary{"port": "80"}, "[/port: it is a text, and must be a whole number]"},
		{"default", true, proto.Dictionary{"_": `{}`}, `["url" is missing]`},
		{"free", false, proto.Dictionary{"a": "b"}, "[]"},
		{"broken", false, nil, "nothing.json: file does not exist"},
		{"away", false, nil, "names a file of this machine"},
	} {
		kind, ok := r.Type(c.kind, c.shared)
		if !ok {
			t.Errorf("no type %q", c.kind)
			continue
		}
		faults, err := l.Check(t.Context(), kind, c.parameters)
		got := fmt.Sprint(faults)
		if err != nil {
			got = err.Error()
		}
		if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
			t.Errorf(
				"c.kind = %s c.parameters = %v: got = %s"+
					"; want got == c.want or an error and got with c.want",
				c.kind, c.parameters, got,
			)
		}
	}
	for path, want := range map[string]string{"/none.cfg": "file does not exist", "/denied.cfg": "403", "/bad.cfg": "unexpected end"} {
		_, err := l.Release(t.Context(), base+path)
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, os.ErrNotExist) != (path == "/none.cfg") {
			t.Errorf(
				"%s: err = %v"+
					"; want an error and err.Error() with want and errors.Is(err, os.ErrNotExist) == (path == "+
					`"/none.cfg")`,
				path, err,
			)
		}
	}
}

func TestReleaseAtPath(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"software.cfg.json": software, "schemas/in.json": in, "schemas/defs.json": `{"port":{"type":"integer"}}`,
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	l := &parameter.Loader{}
	for _, release := range []string{dir + "/software.cfg", "file://" + dir + "/software.cfg"} {
		r, err := l.Release(t.Context(), release)
		if err != nil {
			t.Fatal(err)
		}
		kind, _ := r.Type("", false)
		if faults, err := l.Check(t.Context(), kind, proto.Dictionary{"_": `{"port": "80"}`}); err != nil || len(faults) != 1 {
			t.Errorf("%s: faults = %v, err = %v; want no error and len(faults) == 1", release, faults, err)
		}
	}
	if _, err := l.Release(t.Context(), dir+"/other.cfg"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}
