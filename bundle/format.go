package bundle

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxWidth bounds the width in a template's field.
const maxWidth = 1 << 20

// formatString is Python's str.format with arguments by name: {x}, {x!r}, {x[0]}, {x:>10.3},
// {x:{width}}, {{ and }}.
func formatString(text string, vars map[string]string) (string, error) {
	f := formatter{text: text, vars: vars}
	return f.expand(0, len(text), 2)
}

type formatter struct {
	text string
	vars map[string]string
}

func (f *formatter) bad(offset int, format string, args ...any) error {
	return templateErrorAt(f.text, min(offset, len(f.text)), errTemplate, format, args...)
}

// expand handles the text between two offsets; depth bounds fields within fields.
func (f *formatter) expand(from, to, depth int) (string, error) {
	if depth == 0 {
		return "", f.bad(from, "fields too deep in one another")
	}
	var b strings.Builder
	for i := from; i < to; {
		j := strings.IndexAny(f.text[i:to], "{}")
		if j < 0 {
			b.WriteString(f.text[i:to])
			break
		}
		b.WriteString(f.text[i : i+j])
		i += j
		c := f.text[i]
		if i+1 < to && f.text[i+1] == c {
			b.WriteByte(c)
			i += 2
			continue
		}
		if c == '}' {
			return "", f.bad(i, "a } without its {; write }} for one that stays")
		}
		end := f.closing(i+1, to)
		if end < 0 {
			return "", f.bad(i, "a { without its }; write {{ for one that stays")
		}
		s, err := f.field(i+1, end, depth)
		if err != nil {
			return "", err
		}
		b.WriteString(s)
		i = end + 1
	}
	return b.String(), nil
}

// closing returns the offset of the } of the field that begins at from, or -1.
func (f *formatter) closing(from, to int) int {
	open := 1
	for i := from; i < to; i++ {
		switch f.text[i] {
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				return i
			}
		}
	}
	return -1
}

// field handles NAME[INDEX]!CONVERSION:SPEC between two offsets.
func (f *formatter) field(from, to, depth int) (string, error) {
	end := to
	if i := strings.IndexAny(f.text[from:to], "!:"); i >= 0 {
		end = from + i
	}
	value, err := f.value(from, end)
	if err != nil {
		return "", err
	}
	at := end
	if at < to && f.text[at] == '!' {
		if at+1 >= to {
			return "", f.bad(at, "a ! without a conversion: !s or !r")
		}
		switch c := f.text[at+1]; c {
		case 's':
		case 'r':
			value = pythonQuote(value)
		default:
			return "", f.bad(at, "there is no conversion %q: !s or !r", c)
		}
		if at += 2; at < to && f.text[at] != ':' {
			return "", f.bad(at, "a : has to stand behind a conversion")
		}
	}
	spec := ""
	if at < to {
		at++
		if spec = f.text[at:to]; strings.ContainsAny(spec, "{}") {
			if spec, err = f.expand(at, to, depth-1); err != nil {
				return "", err
			}
		}
	}
	out, err := padded(value, spec)
	if err != nil {
		return "", f.bad(from, "%v", err)
	}
	return out, nil
}

// value looks up the name between two offsets, and the character at an index of it.
func (f *formatter) value(from, to int) (string, error) {
	name, rest := f.text[from:to], ""
	if i := strings.IndexAny(name, ".["); i >= 0 {
		name, rest = name[:i], name[i:]
	}
	if name == "" || strings.Trim(name, "0123456789") == "" {
		return "", f.bad(from, "{%s} has no name; variables go by their names", f.text[from:to])
	}
	value, ok := f.vars[name]
	if !ok {
		return "", missing(f.text, from, name, f.vars)
	}
	for rest != "" {
		inner, after, ok := strings.Cut(rest, "]")
		n, err := strconv.ParseUint(strings.TrimPrefix(inner, "["), 10, 31)
		chars := []rune(value)
		if !ok || rest[0] != '[' || err != nil || n >= uint64(len(chars)) {
			return "", f.bad(from, "%q: a text has nothing of the kind", f.text[from:to])
		}
		value, rest = string(chars[n]), after
	}
	return value, nil
}

// padded applies a format specification for texts: [[fill]align][width][.precision][s].
func padded(value, spec string) (string, error) {
	fill, align, whole := ' ', byte('<'), spec
	first, size := utf8.DecodeRuneInString(spec)
	switch {
	case size > 0 && len(spec) > size && strings.IndexByte("<>^=", spec[size]) >= 0:
		fill, align, spec = first, spec[size], spec[size+1:]
	case spec != "" && strings.IndexByte("<>^=", spec[0]) >= 0:
		align, spec = spec[0], spec[1:]
	}
	if align == '=' || strings.HasPrefix(spec, "0") {
		return "", fmt.Errorf("%q: padding behind a sign is for numbers, and variables are texts", whole)
	}
	width, spec, err := digits(spec)
	if err != nil {
		return "", err
	}
	if rest, ok := strings.CutPrefix(spec, "."); ok {
		n, rest2, err := digits(rest)
		if err != nil {
			return "", err
		}
		if rest2 == rest {
			return "", fmt.Errorf("%q has no number behind its dot", whole)
		}
		spec = rest2
		if chars := []rune(value); len(chars) > n {
			value = string(chars[:n])
		}
	}
	if spec != "" && spec != "s" {
		return "", fmt.Errorf("%q is not a format for texts", whole)
	}
	pad := width - utf8.RuneCountInString(value)
	if pad <= 0 {
		return value, nil
	}
	left := 0
	switch align {
	case '>':
		left = pad
	case '^':
		left = pad / 2
	}
	return strings.Repeat(string(fill), left) + value + strings.Repeat(string(fill), pad-left), nil
}

// digits reads the number at the beginning of s, and returns what follows. Without a digit the
// number is 0.
func digits(s string) (int, string, error) {
	rest := strings.TrimLeft(s, "0123456789")
	if rest == s {
		return 0, s, nil
	}
	n, err := strconv.Atoi(s[:len(s)-len(rest)])
	if err != nil || n > maxWidth {
		return 0, s, fmt.Errorf("%s is too wide", s[:len(s)-len(rest)])
	}
	return n, rest, nil
}

// pythonQuote writes a text as Python's repr does.
func pythonQuote(s string) string {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b := []byte{quote}
	for i := range len(s) {
		switch c := s[i]; {
		case c == quote || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < ' ' || c >= 0x7f:
			b = fmt.Appendf(b, `\x%02x`, c)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, quote))
}
