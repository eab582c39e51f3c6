// Package gotemplate expands the templates of bundles that are Go's text/template. A program that
// links it keeps all exported methods of all types that it has, as templates call methods by name;
// so only hostlerd does.
package gotemplate

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"text/template"

	"github.com/hostler-project/hostler/bundle"
)

// quotes are the filters that quote values for scripts and files.
var quotes = template.FuncMap{
	"sh":     func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" },
	"json":   func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
	"base64": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"regexp": regexp.QuoteMeta,
}

// Expand expands a template: it has variables by name, facts below .facts, and the filters of
// quotes. It is a bundle.GoTemplate.
func Expand(text string, vars map[string]string, facts bundle.Facts) (string, error) {
	t, err := template.New("").Option("missingkey=error").Funcs(quotes).Parse(text)
	if err != nil {
		return "", err
	}
	data := map[string]any{}
	for k, v := range vars {
		data[k] = v
	}
	data["facts"] = facts.Tree()
	out := &bounded{}
	if err := t.Execute(out, data); err != nil {
		return "", err
	}
	return out.String(), nil
}

// bounded is a buffer for the output of a template, of at most bundle.MaxText bytes.
type bounded struct{ strings.Builder }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > bundle.MaxText {
		return 0, errors.New("makes more than 16 MiB")
	}
	return b.Builder.Write(p)
}
