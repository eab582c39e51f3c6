package hypermedia

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hostler-project/hostler/slapos/proto"
)

// Expand fills in a template of RFC 6570. A variable is a string, an int, a []string or a
// map[string]string; one that is not there, or is empty as a list, is undefined. Errors are
// [ErrMalformed].
func Expand(template string, variables map[string]any) (string, error) {
	var b strings.Builder
	for template != "" {
		before, rest, found := strings.Cut(template, "{")
		if strings.Contains(before, "}") {
			return "", proto.Malformed("", "a template with a } that nothing opens: %.80q", template)
		}
		escape(&b, before, true)
		if !found {
			break
		}
		expression, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", proto.Malformed("", "a template with a { that is not closed: %.80q", template)
		}
		if err := expand(&b, expression, variables); err != nil {
			return "", err
		}
		template = after
	}
	return b.String(), nil
}

// An operator says how an expression of a template is written.
type operator struct {
	first, between string
	named          bool
	ifEmpty        string // behind the name, where the value is empty
	reserved       bool   // characters with a meaning in URLs stand as they are
}

var operators = map[byte]operator{
	'+': {"", ",", false, "", true}, '#': {"#", ",", false, "", true}, '.': {".", ".", false, "", false}, '/': {"/", "/", false, "", false},
	';': {";", ";", true, "", false}, '?': {"?", "&", true, "=", false}, '&': {"&", "&", true, "=", false},
}

// expand appends one expression of a URI template (RFC 6570), without its braces.
func expand(b *strings.Builder, expression string, variables map[string]any) error {
	if expression == "" {
		return proto.Malformed("", "a template with nothing between { and }")
	}
	op, ok := operators[expression[0]]
	if ok {
		expression = expression[1:]
	} else {
		op = operator{between: ","}
	}
	lead := op.first
	for spec := range strings.SplitSeq(expression, ",") {
		name, explode := strings.CutSuffix(spec, "*")
		name, length, prefixed := strings.Cut(name, ":")
		most := -1
		if prefixed {
			n, err := strconv.Atoi(length)
			if err != nil || n < 1 || n > 9999 || explode {
				return proto.Malformed("", "a template with %.80q, which says no length", spec)
			}
			most = n
		}
		if name == "" || strings.Trim(name, nameCharacters) != "" {
			return proto.Malformed("", "a template with %.80q, which is no variable", spec)
		}
		items, err := op.items(name, variables[name], explode, most)
		if err != nil {
			return err
		}
		for _, item := range items {
			b.WriteString(lead)
			b.WriteString(item)
			lead = op.between
		}
	}
	return nil
}

const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.%"

// items are the expansion of a variable: none if it is undefined, several if a list or map is
// exploded.
func (op operator) items(name string, value any, explode bool, most int) ([]string, error) {
	var parts []string
	switch v := value.(type) {
	case nil:
		return nil, nil
	case string:
		for most >= 0 && utf8.RuneCountInString(v) > most {
			_, size := utf8.DecodeLastRuneInString(v)
			v = v[:len(v)-size]
		}
		return []string{op.pair(name, op.escaped(v))}, nil
	case int:
		return op.items(name, strconv.Itoa(v), explode, most)
	case []string:
		for _, s := range v {
			s = op.escaped(s)
			if explode {
				s = op.pair(name, s)
			}
			parts = append(parts, s)
		}
	case map[string]string:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			key, s := op.escaped(k), op.escaped(v[k])
			switch {
			case explode && op.named && s == "":
				parts = append(parts, key+op.ifEmpty)
			case explode:
				parts = append(parts, key+"="+s)
			default:
				parts = append(parts, key, s)
			}
		}
	default:
		return nil, proto.Malformed("", "a template with %q, which has a value of type %T", name, value)
	}
	if explode || len(parts) == 0 {
		return parts, nil
	}
	return []string{op.pair(name, strings.Join(parts, ","))}, nil
}

func (op operator) pair(name, value string) string {
	switch {
	case !op.named:
		return value
	case value == "":
		return name + op.ifEmpty
	}
	return name + "=" + value
}

func (op operator) escaped(s string) string {
	var b strings.Builder
	escape(&b, s, op.reserved)
	return b.String()
}

// escape writes s in the form for a URL. With reserved, reserved characters and escape sequences
// stay as they are.
func escape(b *strings.Builder, s string, reserved bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0,
			reserved && strings.IndexByte(":/?#[]@!$&'()*+,;=", c) >= 0,
			reserved && c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789ABCDEF"[c&15])
		}
	}
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
