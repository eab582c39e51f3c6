package bundle_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/bundle/gotemplate"
)

// TestExpand holds templates to what the tools that had them first made of them, with Python's own
// str.format and string.Template.
func TestExpand(t *testing.T) {
	data, err := os.ReadFile("testdata/templates.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Text string            `json:"text"`
		Vars map[string]string `json:"vars"`
		Want string            `json:"want"`
		Err  string            `json:"err"`
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 30 {
		t.Fatalf("only %d cases", len(cases))
	}
	classes := map[string]error{
		"missing variable": bundle.ErrMissing, "unsupported type": bundle.ErrUnsupported,
		"bad template": bundle.ErrTemplate,
	}
	for _, c := range cases {
		got, err := bundle.Expand(c.Text, c.Vars, nil, gotemplate.Expand)
		if want := classes[c.Err]; !errors.Is(err, want) || c.Err != "" && want == nil {
			t.Errorf("%q with %v: error %v, want %q", c.Text, c.Vars, err, c.Err)
		} else if err == nil && got != c.Want {
			t.Errorf("%q with %v:\n got %q\nwant %q", c.Text, c.Vars, got, c.Want)
		}
	}
}

const formatMarker, goMarker = "# provision-template-type: format-string\n", "# provision-template-type: go-template\n"

func TestFormatString(t *testing.T) {
	vars := map[string]string{"x": "abc", "w": "6", "q": "it's", "u": "äö"}
	for in, want := range map[string]string{
		"{x!s}": "abc", "{x!r}": "'abc'", "{q!r}": `"it's"`, "{x[1]}": "b", "{x:{w}}|": "abc   |",
		"{x:>{w}.2}": "    ab", "{u:_^6}": "__äö__", "{x:s}": "abc",
		"{{{x}}}": "{abc}", "{x:<3}": "abc", "{x:.0}|": "|", "{x:}": "abc", "{x:.^9}": "...abc...",
	} {
		got, err := bundle.Expand(formatMarker+in, vars, nil, gotemplate.Expand)
		if in == "{x:{{^5}" { // braces count, also those of a fill character
			if !errors.Is(err, bundle.ErrTemplate) {
				t.Errorf("%s: %q, %v; want a bad template", in, got, err)
			}
			continue
		}
		if err != nil || got != formatMarker+want {
			t.Errorf("%s: %q, %v; want %q", in, got, err, want)
		}
	}
	for in, class := range map[string]error{
		"{0}": bundle.ErrTemplate, "{:>3}": bundle.ErrTemplate, "{x": bundle.ErrTemplate, "{x!": bundle.ErrTemplate,
		"{x!}": bundle.ErrTemplate, "{x!z}": bundle.ErrTemplate,
		"{x!sx}": bundle.ErrTemplate, "{x:d}": bundle.ErrTemplate, "{x:=5}": bundle.ErrTemplate,
		"{x:05}": bundle.ErrTemplate, "{x:+}": bundle.ErrTemplate,
		"{x:.}": bundle.ErrTemplate, "{x.upper}": bundle.ErrTemplate, "{x[9]}": bundle.ErrTemplate,
		"{x[a]}": bundle.ErrTemplate, "{x:{w:{w}}}": bundle.ErrTemplate,
		"{x:99999999999}": bundle.ErrTemplate, "{}": bundle.ErrTemplate, "{y}": bundle.ErrMissing,
		"{x:{y}}": bundle.ErrMissing, "{ x }": bundle.ErrMissing,
	} {
		if got, err := bundle.Expand(formatMarker+in, vars, nil, gotemplate.Expand); !errors.Is(err, class) {
			t.Errorf("%s: %q, %v; want %v", in, got, err, class)
		}
	}
}

func TestGoTemplate(t *testing.T) {
	facts := bundle.Facts{"address": "10.0.0.7", "memory": "4096", "fact.zone": "b", "cores": "4"}
	vars := map[string]string{"name": "it's $x", "n": "1"}
	text := goMarker + "{{.name | sh}} {{.name | json}} {{.n | base64}} {{\"a.b\" | regexp}} {{.facts.address}} {{if ge .facts.cores 4}}big{{end}} {{.facts.fact.zone}}"
	got, err := bundle.Expand(text, vars, facts, gotemplate.Expand)
	if want := goMarker + `'it'\''s $x' "it's $x" MQ== a\.b 10.0.0.7 big b`; err != nil || got != want {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
	for in, want := range map[string]string{
		"\n{{.nmae}}":       `line 3: missing variable: <.nmae>: map has no entry for key "nmae"; did you mean name?`,
		"{{.facts.adress}}": `; did you mean address?`,
		"{{.name":           "line 2: bad template: unclosed action",
		"{{.name | shell}}": "line 2: bad template: function \"shell\" not defined",
		"{{range 99999999}}{{printf \"%9999s\" $.name}}{{end}}": "makes more than 16 MiB",
	} {
		if _, err := bundle.Expand(goMarker+in, vars, facts, gotemplate.Expand); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", in, err, want)
		}
	}
}

func TestTemplateLine(t *testing.T) {
	for text, want := range map[string]string{
		"#!/bin/sh\n# provision-template-type: mako\n": "line 2: unsupported type of template: mako; did you mean ",
		"\n" + formatMarker + "\n{no}":                 `line 4: missing variable: "no"; did you mean not?`,
		formatMarker + "\n}":                           "line 3: bad template: a } without its {",
	} {
		vars := map[string]string{"not": "1"}
		if _, err := bundle.Expand(text, vars, nil, gotemplate.Expand); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v\nwant %s", text, err, want)
		}
	}
}

// FuzzExpand looks for templates that panic, or that make something of a text without a marker.
func FuzzExpand(f *testing.F) {
	for _, s := range []string{"{x:>6}{{}}", "$x ${x} $$ ${", "{{.x | sh}}{{range .}}{{end}}", "{x!r:{y}}", "{x[0]}", "}"} {
		for _, m := range append([]string{""}, formatMarker, goMarker, "# provision-template-type: template-string\n") {
			f.Add(m+s, "x", "it's {y} $y")
		}
	}
	f.Fuzz(func(t *testing.T, text, name, value string) {
		got, err := bundle.Expand(text, map[string]string{name: value, "y": "2"}, bundle.Facts{"os": "linux"}, gotemplate.Expand)
		typ, _ := bundle.TemplateType(text)
		if typ == "" && (err != nil || got != text) {
			t.Errorf("%q is no template, and became %q, %v", text, got, err)
		}
		var e *bundle.TemplateError
		if err != nil && (!errors.As(err, &e) || e.Line < 1 || e.Line > 1+strings.Count(text, "\n")) {
			t.Errorf("%q: an error without a line of it: %v", text, err)
		}
	})
}
