package visible_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/hostler-project/hostler/text/visible"
)

// hostile are texts with what a terminal obeys or does not show, and how they are shown on one
// line.
var hostile = map[string]string{
	"\x1b[2J":                `\x1b[2J`,
	"\x1b]0;title\x07":       `\x1b]0;title\a`,
	"a\rb\nc\td":             `a\rb\nc\td`,
	"\x9b31m\xff":            `\x9b31m\xff`,
	"\u009b31m":              `\u009b31m`,
	"\x7f\x00":               `\x7f\x00`,
	"ab\u202edc\u202c":       `ab\u202edc\u202c`,
	"\u2066\u2069\u200e":     `\u2066\u2069\u200e`,
	"\u061c\u200f":           `\u061c\u200f`,
	"one\u2028two\u2029":     `one\u2028two\u2029`,
	"\U000e0041":             `\U000e0041`,
	"größe 日本 عربي 👩\u200d🚀": "größe 日本 عربي 👩\u200d🚀",
	"a\u00a0b\u3000c":        "a\u00a0b\u3000c",
	`back\slash "quotes"`:    `back\slash "quotes"`,
}

func TestLine(t *testing.T) {
	for text, want := range hostile {
		got := visible.Line(text)
		if got != want {
			t.Errorf("Line(%q) = %q, want %q", text, got, want)
		}
		if again := visible.Line(got); again != got {
			t.Errorf("cleaned twice: %q, then %q", got, again)
		}
	}
}

func TestFprintf(t *testing.T) {
	type name string
	var b strings.Builder
	err := visible.Fprintf(
		&b, "\r%s %v %s %s %v %d\n%s", "a\x1b\n", errors.New("e\x07"), name("n\u202e"), []byte("b\x7f"),
		[]string{"\x9b"}, 7, visible.Block("x\ny\x1b\n"),
	)
	want := "\r" + `a\x1b\n e\a n\u202e b\x7f [\x9b] 7` + "\nx\n" + `y\x1b` + "\n"
	if err != nil || b.String() != want {
		t.Errorf("%v: %q, want %q", err, b.String(), want)
	}
}

func TestJSON(t *testing.T) {
	for text := range hostile {
		doc, _ := json.MarshalIndent(map[string]string{"text": text}, "", "\t")
		shown := visible.JSON(doc)
		var was, is map[string]string
		if err := errors.Join(json.Unmarshal(doc, &was), json.Unmarshal(shown, &is)); err != nil || was["text"] != is["text"] {
			t.Errorf("%q became %q: %v", was, is, err)
		}
		if strings.ContainsFunc(string(shown), func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) || r >= 0x7f && r < 0xa0 }) {
			t.Errorf("%q is not seen in %q", text, shown)
		}
	}
}

// TestWriter has the same come out however the output was cut into pieces.
func TestWriter(t *testing.T) {
	in := "\x1b[1;31mred\x1b[0m ok\r\n10%\r20%\n\x1b[2Jgone\x1b]52;c;aGk=\x07 日\x9b1m\u202eabc \x1b[38:5:1mx\x1b[" + strings.Repeat("1", 99) + "m" + "\xe6\x97"
	want := "\x1b[1;31mred\x1b[0m ok\r\n10%" + `\r20%` + "\n" + `\x1b[2Jgone\x1b]52;c;aGk=\a 日\x9b1m\u202eabc ` + "\x1b[38:5:1mx" + `\x1b[` + strings.Repeat("1", 99) + "m" + `\xe6\x97` + "\x1b[0m"
	for size := 1; size <= len(in); size++ {
		var b strings.Builder
		w := visible.NewWriter(&b)
		for rest := in; rest != ""; {
			n := min(size, len(rest))
			if _, err := w.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil || b.String() != want {
			t.Fatalf("in pieces of %d: %v\n got %q\nwant %q", size, err, b.String(), want)
		}
	}
}
