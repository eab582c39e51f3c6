package bundle

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// MaxText bounds a script or template, before and after it is expanded.
const MaxText = 16 << 20

// GoTemplate expands a text of the type go-template, as gotemplate.Expand does. Its error has the
// words of text/template.
type GoTemplate func(text string, vars map[string]string, facts Facts) (string, error)

// numeric are the facts that are numbers to templates.
var numeric = []string{"cores", "memory", "disk"}

// Tree returns the facts as templates see them: an unknown one is "" or 0, and those of one kind,
// such as fact.NAME, are below its name.
func (f Facts) Tree() map[string]any {
	known := map[string]any{"tool": map[string]any{}, "fact": map[string]any{}}
	for _, k := range FactNames {
		known[k] = ""
	}
	for _, k := range numeric {
		known[k] = int64(0)
	}
	for k, v := range f {
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
	return known
}

// goError makes a template error of one of text/template: it finds the line, removes words that say
// nothing here, and names what is like a missing name.
func goError(err error, vars map[string]string, facts Facts) error {
	if known := (*compute.Error)(nil); errors.As(err, &known) {
		return err // it has not come to the template
	}
	class, meant := errTemplate, ""
	if _, after, ok := strings.Cut(err.Error(), "map has no entry for key "); ok {
		class = errMissing
		name := strings.Trim(after, `"`)
		if meant = suggestion(name, slices.Collect(maps.Keys(vars))); strings.Contains(err.Error(), "<.facts.") {
			meant = suggestion(name, slices.Collect(maps.Keys(facts.Tree())))
		}
	}
	text := strings.TrimPrefix(err.Error(), "template: ")
	text = strings.TrimPrefix(text, ":")
	line, rest, ok := strings.Cut(text, ":")
	n, bad := strconv.Atoi(line)
	if !ok || bad != nil {
		return &templateError{1, class, text + meant}
	}
	if column, after, ok := strings.Cut(rest, ":"); ok {
		if _, bad := strconv.Atoi(column); bad == nil {
			rest = after
		}
	}
	rest = strings.TrimPrefix(strings.TrimSpace(rest), `executing "" at `)
	return &templateError{n, class, rest + meant}
}
