package bundle

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// The ways in which a template can be wrong. They are wrapped by a *TemplateError.
var (
	errMissing     = errors.New("missing variable")
	errUnsupported = errors.New("unsupported type of template")
	errTemplate    = errors.New("bad template")
)

// templateError says what is wrong in a template, and where.
type templateError struct {
	Line  int   // from 1
	Class error // ErrMissing, ErrUnsupported or ErrTemplate
	Msg   string
}

func (e *templateError) Error() string { return fmt.Sprintf("line %d: %v: %s", e.Line, e.Class, e.Msg) }

// Unwrap returns the class.
func (e *templateError) Unwrap() error { return e.Class }

// wrong is a template's error at an offset of its text.
func wrong(text string, offset int, class error, format string, args ...any) error {
	return &templateError{1 + strings.Count(text[:offset], "\n"), class, fmt.Sprintf(format, args...)}
}

// marker finds what makes a script a template. Greedy as it is, the last marker of the first line
// that has one counts.
var marker = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`#.+provision-template-type:\W*([\w-]+)`) })

// templateTypes are the types of templates that there are.
var templateTypes = []string{"format-string", "template-string", "go-template"}

// templateType returns the type that a text's marker names, "" where it has none and is no
// template. The line is the marker's.
func templateType(text string) (typ string, line int) {
	if !strings.Contains(text, "provision-template-type:") {
		return "", 0
	}
	m := marker().FindStringSubmatchIndex(text)
	if m == nil {
		return "", 0
	}
	return text[m[2]:m[3]], 1 + strings.Count(text[:m[2]], "\n")
}

// Expand returns a text with its variables in place, by the rules of the type that its marker
// names. What has no marker stays as it is. Values are not expanded again. Only templates of type
// go-template see the facts. The error is a *TemplateError.
func Expand(text string, vars map[string]string, facts Facts) (string, error) {
	switch typ, line := templateType(text); typ {
	case "":
		return text, nil
	case "format-string":
		return formatString(text, vars)
	case "template-string":
		return templateString(text, vars), nil
	case "go-template":
		return goTemplate(text, vars, facts)
	default:
		return "", &templateError{line, errUnsupported, typ + near(typ, templateTypes)}
	}
}

// templateString is safe_substitute of Python's string.Template: $name, ${name} and $$; all else
// stays.
func templateString(text string, vars map[string]string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(text, '$')
		if i < 0 || i+1 == len(text) {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:i])
		text = text[i:]
		name, size := "", 0
		switch {
		case text[1] == '$':
			b.WriteByte('$')
			text = text[2:]
			continue
		case text[1] == '{':
			if name = leadingName(text[2:]); name != "" && strings.HasPrefix(text[2+len(name):], "}") {
				size = len(name) + 3
			}
		default:
			name = leadingName(text[1:])
			size = len(name) + 1
		}
		if value, ok := vars[name]; ok && size > 1 {
			b.WriteString(value)
			text = text[size:]
			continue
		}
		b.WriteByte('$')
		text = text[1:]
	}
}

// leadingName returns the name of a variable that a text begins with.
func leadingName(s string) string {
	if s == "" || !isName(s[:1]) {
		return ""
	}
	rest := strings.TrimLeft(s, "_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	return s[:len(s)-len(rest)]
}

// missing is the error about a variable that there is not.
func missing(text string, offset int, name string, vars map[string]string) error {
	return wrong(text, offset, errMissing, "%q%s", name, near(name, slices.Collect(maps.Keys(vars))))
}
