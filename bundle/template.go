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

// The errors of a template. A *templateError wraps them.
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

// templateErrorAt makes an error about an offset of a template's text.
func templateErrorAt(text string, offset int, class error, format string, args ...any) error {
	return &templateError{1 + strings.Count(text[:offset], "\n"), class, fmt.Sprintf(format, args...)}
}

// marker finds the marker that makes a script a template. It is greedy: the last marker in the
// first line with one counts.
var marker = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`#.+provision-template-type:\W*([\w-]+)`) })

// templateTypes are the known types of templates.
var templateTypes = []string{"format-string", "template-string", "go-template"}

// templateType returns the type that a text's marker names and the marker's line; "" if the text is
// no template.
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

// expand expands a template by the type that its marker names. A text without a marker stays as it
// is. Values are not expanded again. Only go-template sees the facts; byGo expands it. The error is
// a *templateError, if it is one of the template.
func expand(text string, vars map[string]string, facts Facts, byGo GoTemplate) (string, error) {
	switch typ, line := templateType(text); typ {
	case "":
		return text, nil
	case "format-string":
		return formatString(text, vars)
	case "template-string":
		return templateString(text, vars), nil
	case "go-template":
		if byGo == nil {
			return "", &templateError{line, errUnsupported, typ + ": this program was made without it"}
		}
		out, err := byGo(text, vars, facts)
		if err != nil {
			return "", goError(err, vars, facts)
		}
		return out, nil
	default:
		return "", &templateError{line, errUnsupported, typ + suggestion(typ, templateTypes)}
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

// leadingName returns the variable's name at the beginning of a text.
func leadingName(s string) string {
	if s == "" || !isName(s[:1]) {
		return ""
	}
	rest := strings.TrimLeft(s, "_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	return s[:len(s)-len(rest)]
}

// missing is the error about an unknown variable.
func missing(text string, offset int, name string, vars map[string]string) error {
	return templateErrorAt(text, offset, errMissing, "%q%s", name, suggestion(name, slices.Collect(maps.Keys(vars))))
}
