package oldconfig

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what a token is.
type kind int

const (
	name   kind = iota // a word, keywords too
	text               // a string, its quotes and escapes taken away
	number             // as written
	op                 // an operator or bracket
)

type token struct {
	kind kind
	text string
}

func (t token) is(s string) bool { return t.text == s && (t.kind == op || t.kind == name) }

// line is a logical line: what backslashes, brackets and long strings join is one.
type line struct {
	number int // of its first line, from 1
	indent int
	tokens []token
	odd    string // why it cannot be taken apart; ""
	raw    string // its first line as it stands
}

// tabWidth is what Python takes a tab for.
const tabWidth = 8

// lex takes a file apart.
func lex(src string) []line {
	src = strings.ReplaceAll(strings.TrimPrefix(src, "\ufeff"), "\r\n", "\n")
	l := &lexer{src: src, at: 1}
	var out []line
	for l.pos < len(l.src) {
		if ln, ok := l.line(); ok {
			out = append(out, ln)
		}
	}
	return out
}

type lexer struct {
	src string
	pos int
	at  int // the number of the line that pos is in
}

func (l *lexer) rest() string { return l.src[l.pos:] }

// skip goes on by n bytes.
func (l *lexer) skip(n int) {
	l.at += strings.Count(l.src[l.pos:l.pos+n], "\n")
	l.pos += n
}

// line reads one logical line; false: it is empty.
func (l *lexer) line() (line, bool) {
	out := line{number: l.at}
	raw, _, _ := strings.Cut(l.rest(), "\n")
	out.raw = strings.TrimSpace(raw)
	for l.pos < len(l.src) {
		switch l.src[l.pos] {
		case ' ', '\f':
			out.indent++
		case '\t':
			out.indent += tabWidth - out.indent%tabWidth
		default:
			goto tokens
		}
		l.pos++
	}
tokens:
	for depth := 0; l.pos < len(l.src); {
		rest := l.rest()
		c := rest[0]
		switch {
		case c == '\n':
			l.skip(1)
			if depth <= 0 {
				return out, len(out.tokens) > 0 || out.odd != ""
			}
		case c == '#':
			l.skip(len(rest) - len(afterLine(rest)))
		case c == ' ' || c == '\t' || c == '\f':
			l.skip(1)
		case strings.HasPrefix(rest, "\\\n"):
			l.skip(2)
		default:
			t, n, err := one(rest)
			l.skip(n)
			if err != "" && out.odd == "" {
				out.odd = err
			}
			out.tokens = append(out.tokens, t)
			switch {
			case t.kind == op && strings.Contains("([{", t.text):
				depth++
			case t.kind == op && strings.Contains(")]}", t.text):
				depth--
			}
		}
	}
	return out, len(out.tokens) > 0 || out.odd != ""
}

// afterLine is what follows the line's end, that end included.
func afterLine(s string) string {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		return s[i:]
	}
	return ""
}

// one reads a token at the beginning of s, and returns how long it is. err says what is wrong with
// it.
func one(s string) (t token, n int, err string) {
	r, size := utf8.DecodeRuneInString(s)
	if r == '_' || unicode.IsLetter(r) {
		n = strings.IndexFunc(s, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if n < 0 {
			n = len(s)
		}
		if prefix := strings.ToLower(s[:n]); n < len(s) && (s[n] == '"' || s[n] == '\'') && len(prefix) <= 2 &&
			strings.Trim(prefix, "rbuf") == "" {
			t, m, err := quoted(s[n:], strings.Contains(prefix, "r"))
			if strings.Contains(prefix, "f") && err == "" {
				err = "an f-string is no literal"
			}
			return t, n + m, err
		}
		return token{name, s[:n]}, n, ""
	}
	if r >= '0' && r <= '9' {
		n = strings.IndexFunc(s, func(r rune) bool { return r != '.' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if n < 0 {
			n = len(s)
		}
		return token{number, s[:n]}, n, ""
	}
	if r == '"' || r == '\'' {
		return quoted(s, false)
	}
	for _, two := range []string{"+=", "==", "!=", "<=", ">=", "**", "//", "->", ":="} {
		if strings.HasPrefix(s, two) {
			return token{op, two}, 2, ""
		}
	}
	return token{op, s[:size]}, size, ""
}

// quoted reads a string that begins s.
func quoted(s string, raw bool) (token, int, string) {
	quote := s[:1]
	if strings.HasPrefix(s, quote+quote+quote) {
		quote = s[:3]
	}
	var b strings.Builder
	for i := len(quote); i < len(s); {
		switch {
		case strings.HasPrefix(s[i:], quote):
			return token{text, b.String()}, i + len(quote), ""
		case s[i] == '\n' && len(quote) == 1:
			return token{text, b.String()}, i, "a string is not closed"
		case s[i] == '\\' && i+1 < len(s):
			value, n, ok := escape(s[i+1:], raw)
			if !ok {
				return token{text, ""}, i, "an escape in a string that is not read"
			}
			b.WriteString(value)
			i += 1 + n
		default:
			b.WriteByte(s[i])
			i++
		}
	}
	return token{text, b.String()}, len(s), "a string is not closed"
}

// escape reads what follows a backslash.
func escape(s string, raw bool) (value string, n int, ok bool) {
	if raw {
		return `\` + s[:1], 1, true
	}
	simple := map[byte]string{
		'\n': "", '\\': `\`, '\'': "'", '"': `"`, 'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t",
		'v': "\v",
	}
	if v, ok := simple[s[0]]; ok {
		return v, 1, true
	}
	var code rune
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[0]]
	switch {
	case digits > 0:
		if len(s) < 1+digits {
			return "", 0, false
		}
		if _, err := fmt.Sscanf(s[1:1+digits], "%x", &code); err != nil ||
			strings.Trim(s[1:1+digits], "0123456789abcdefABCDEF") != "" || s[0] == 'x' && code > 0x7f {
			return "", 0, false
		}
		return string(code), 1 + digits, true
	case s[0] >= '0' && s[0] <= '7':
		for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
			code = code*8 + rune(s[n]-'0')
			n++
		}
		return string(code), n, code <= 0x7f
	case s[0] == 'N':
		return "", 0, false
	}
	return `\` + s[:1], 1, true // as Python leaves it
}
