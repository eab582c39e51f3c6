package bundle

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// maxText bounds a script or template, before and after it is expanded.
const maxText = 16 << 20

// quotes are the filters that quote values for scripts and files.
var quotes = template.FuncMap{
	"sh":     func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" },
	"json":   func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
	"base64": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"regexp": regexp.QuoteMeta,
}

// numeric are the facts that are numbers to templates.
var numeric = []string{"cores", "memory", "disk"}

// goTemplate is Go's text/template: variables by name, facts below .facts, and the filters of
// quotes.
func goTemplate(text string, vars map[string]string, facts Facts) (string, error) {
	t, err := template.New("").Option("missingkey=error").Funcs(quotes).Parse(text)
	if err != nil {
		return "", goError(err, errTemplate, "")
	}
	data := map[string]any{}
	for k, v := range vars {
		data[k] = v
	}
	known := map[string]any{"tool": map[string]any{}, "fact": map[string]any{}}
	for _, k := range FactNames { // an unknown fact is ""
		known[k] = ""
	}
	for _, k := range numeric {
		known[k] = int64(0)
	}
	for k, v := range facts {
		kind, rest, nested := strings.Cut(k, ".")
		switch n, err := strconv.ParseInt(v, 10, 64); {
		case nested:
			m, _ := known[kind].(map[string]any)
			if m == nil {
				m = map[string]any{}
				known[kind] = m
			}
			m[rest] = v
		case slices.Contains(numeric, k) && err == nil:
			known[k] = n
		case slices.Contains(numeric, k):
		default:
			known[k] = v
		}
	}
	data["facts"] = known
	out := &bounded{}
	if err := t.Execute(out, data); err != nil {
		class := errTemplate
		meant := ""
		if _, after, ok := strings.Cut(err.Error(), "map has no entry for key "); ok {
			class = errMissing
			name := strings.Trim(after, `"`)
			if meant = suggestion(name, slices.Collect(maps.Keys(vars))); strings.Contains(err.Error(), "<.facts.") {
				meant = suggestion(name, slices.Collect(maps.Keys(known)))
			}
		}
		return "", goError(err, class, meant)
	}
	return out.String(), nil
}

// goError makes a template error of one of text/template: it finds the line and removes words that
// say nothing here.
func goError(err error, class error, near string) error {
	text := strings.TrimPrefix(err.Error(), "template: ")
	text = strings.TrimPrefix(text, ":")
	line, rest, ok := strings.Cut(text, ":")
	n, bad := strconv.Atoi(line)
	if !ok || bad != nil {
		return &templateError{1, class, text + near}
	}
	if column, after, ok := strings.Cut(rest, ":"); ok {
		if _, bad := strconv.Atoi(column); bad == nil {
			rest = after
		}
	}
	rest = strings.TrimPrefix(strings.TrimSpace(rest), `executing "" at `)
	return &templateError{n, class, rest + near}
}

// bounded is a buffer for the output of a template, of at most maxText bytes.
type bounded struct{ strings.Builder }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxText {
		return 0, errors.New("makes more than 16 MiB")
	}
	return b.Builder.Write(p)
}
