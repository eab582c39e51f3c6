// Package visible shows text from elsewhere to people so that their terminal never obeys it. It
// writes these as Go does (\x1b, \n, \u202e): control characters, escape sequences, characters that
// change the direction of text, line separators, other invisible characters, and bytes that are no
// UTF-8. Ordinary names in any script, with joiners and wide spaces, stay as they are.
//
// Line is for names and messages, Block for text of several lines, JSON for documents, and a Writer
// for output that may be coloured. Cleaning a text twice is the same as cleaning it once.
package visible

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Shown is text that a terminal may have as it is.
type Shown string

// Line is a text as one line.
func Line(s string) string { return clean(s, "") }

// Block is a text of several lines: ends of lines and tabs stay.
func Block(s string) Shown { return Shown(clean(s, "\n\t")) }

// Fprintf writes a message. The format is the program's own; each argument is shown by Line, unless
// it is Shown.
func Fprintf(w io.Writer, format string, args ...any) error {
	shown := make([]any, len(args))
	for i, arg := range args {
		shown[i] = argument(arg)
	}
	_, err := fmt.Fprintf(w, format, shown...)
	return err
}

// argument is what stands in one place of a message.
func argument(arg any) any {
	switch v := arg.(type) {
	case Shown:
		return string(v)
	case error:
		return Line(v.Error())
	case fmt.Stringer: // also kinds of numbers, which may be wanted as such
		if text := v.String(); Line(text) != text {
			return Line(text)
		}
		return arg
	case []byte:
		return Line(string(v))
	case []string:
		out := make([]string, len(v))
		for i, one := range v {
			out[i] = Line(one)
		}
		return out
	}
	if v := reflect.ValueOf(arg); v.Kind() == reflect.String {
		return Line(v.String())
	}
	return arg
}

// JSON is a JSON document of the same meaning without characters that cannot be seen: they are
// written as \u202e.
func JSON(doc []byte) []byte {
	if !strings.ContainsFunc(string(doc), unseen) {
		return doc
	}
	var b strings.Builder
	for _, r := range string(doc) {
		switch {
		case r < ' ' || !unseen(r): // JSON has none of them within a string
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return []byte(b.String())
}

// clean writes out what cannot be seen, but for the characters of keep.
func clean(s, keep string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || unseen(r) }) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		one := s[i : i+n]
		i += n
		if strings.Contains(keep, one) {
			b.WriteString(one)
			continue
		}
		b.WriteString(character(r, one))
	}
	return b.String()
}

// character is one character as it is shown; raw are its bytes.
func character(r rune, raw string) string {
	switch {
	case r == utf8.RuneError && len(raw) == 1:
		return fmt.Sprintf(`\x%02x`, raw[0])
	case unseen(r):
		return strings.Trim(strconv.QuoteRuneToASCII(r), "'")
	}
	return raw
}

// unseen reports whether a character drives a terminal, or is invisible. Spaces of other scripts,
// joiners of letters and private characters are neither.
func unseen(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return !unicode.IsPrint(r) && r != nonJoiner && r != joiner && !unicode.In(r, unicode.Zs, unicode.Co)
}
