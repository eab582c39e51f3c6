package proto

import (
	"strings"
	"unicode/utf8"
)

// fastParser reads documents in the form that programs of this protocol write, and gives up on all
// others: those with comments, sections, name spaces, references or other attributes, and malformed
// ones. The decoder then reads these, or says what is wrong. So quick refuses nothing, and its
// values are the decoder's. It costs a tenth of the decoder.
type fastParser struct {
	doc string
	at  int
}

// declarations are the XML declarations that documents may begin with.
var declarations = []string{`<?xml version='1.0' encoding='utf-8'?>`, `<?xml version="1.0" encoding="UTF-8"?>`, `<?xml version="1.0"?>`}

// newFastParser returns a parser behind the declaration, if it is one of the usual ones.
func newFastParser(doc string) fastParser {
	q := fastParser{doc: doc}
	if strings.HasPrefix(doc, "<?") {
		for _, d := range declarations {
			if q.is(d) {
				break
			}
		}
	}
	q.space()
	return q
}

// is goes on behind a text, if that comes next.
func (q *fastParser) is(text string) bool {
	if !strings.HasPrefix(q.doc[q.at:], text) {
		return false
	}
	q.at += len(text)
	return true
}

func (q *fastParser) space() {
	for q.at < len(q.doc) {
		switch q.doc[q.at] {
		case ' ', '\t', '\n', '\r':
			q.at++
		default:
			return
		}
	}
}

// whole says whether nothing but white space is left.
func (q *fastParser) whole() bool {
	q.space()
	return q.at == len(q.doc)
}

// word is what stands there of small letters.
func (q *fastParser) word() string {
	from := q.at
	for q.at < len(q.doc) && q.doc[q.at] >= 'a' && q.doc[q.at] <= 'z' {
		q.at++
	}
	return q.doc[from:q.at]
}

// chars reads text up to a byte, which must come, and goes on behind that. In a text between tags,
// which < ends, no > may stand: it may be the end of a section.
func (q *fastParser) chars(end byte) (string, bool) {
	from := q.at
	var out []byte // nil: no change so far
	for q.at < len(q.doc) {
		switch c := q.doc[q.at]; {
		case c == end:
			text := q.doc[from:q.at]
			q.at++
			if out != nil {
				return string(append(out, text...)), true
			}
			return text, true
		case c == '&':
			out = append(out, q.doc[from:q.at]...)
			r, ok := q.reference()
			if !ok {
				return "", false
			}
			out = utf8.AppendRune(out, r)
			from = q.at
		case c == '<' || c == '>':
			return "", false
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRuneInString(q.doc[q.at:])
			if size == 1 || !writable(r) {
				return "", false
			}
			q.at += size
		case c < ' ' && c != '\t' && c != '\n':
			return "", false
		default:
			q.at++
		}
	}
	return "", false
}

// reference reads a reference to a character.
func (q *fastParser) reference() (rune, bool) {
	for _, r := range [...]struct {
		text string
		char rune
	}{{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}} {
		if q.is(r.text) {
			return r.char, true
		}
	}
	if !q.is("&#") {
		return 0, false
	}
	var r rune
	for from := q.at; q.at < len(q.doc) && q.at < from+8; q.at++ {
		c := q.doc[q.at]
		if c == ';' && q.at > from {
			q.at++
			return r, writable(r)
		}
		if c < '0' || c > '9' {
			break
		}
		r = 10*r + rune(c-'0')
	}
	return 0, false
}

// fastParseValue reads a document of a value.
func fastParseValue(doc string) (any, bool) {
	q := newFastParser(doc)
	if !q.is("<marshal>") {
		return nil, false
	}
	q.space()
	v, ok := q.value(1)
	q.space()
	if !ok || !q.is("</marshal>") || !q.whole() {
		return nil, false
	}
	return v, true
}

// value reads an element.
func (q *fastParser) value(depth int) (any, bool) {
	if depth > MaxDepth || !q.is("<") {
		return nil, false
	}
	switch tag := q.word(); tag {
	case "list", "set", "tuple", "dictionary", "object":
		return q.container(tag, depth)
	case "string", "unicode", "int", "long", "float", "bool", "none":
		text, ok := q.scalar(tag)
		if !ok {
			return nil, false
		}
		v, err := scalar(tag, text)
		return v, err == nil
	}
	return nil, false
}

// scalar reads what stands between a tag, of which the name is read, and its end.
func (q *fastParser) scalar(tag string) (string, bool) {
	if q.is("/>") {
		return "", true
	}
	if !q.is(">") {
		return "", false
	}
	text, ok := q.chars('<')
	return text, ok && q.closed(tag)
}

// closed reads the end of an element, of which the < is read.
func (q *fastParser) closed(tag string) bool { return q.is("/") && q.is(tag) && q.is(">") }

// container reads the rest of a container after its tag's name. false: the decoder must read the
// document.
func (q *fastParser) container(tag string, depth int) (any, bool) {
	class, ok := q.attributes(tag == "object")
	if !ok {
		return nil, false
	}
	var items []any
	var pairs Dictionary
	if tag == "dictionary" {
		pairs = Dictionary{}
	}
	if !q.is("/>") {
		if !q.is(">") {
			return nil, false
		}
		for q.space(); !strings.HasPrefix(q.doc[q.at:], "</"); q.space() {
			v, ok := q.value(depth + 1)
			if !ok {
				return nil, false
			}
			if pairs == nil {
				items = append(items, v)
				continue
			}
			key, isText := v.(string)
			q.space()
			if v, ok = q.value(depth + 1); !ok || !isText {
				return nil, false
			}
			pairs[key] = v
		}
		if q.at++; !q.closed(tag) {
			return nil, false
		}
	}
	if items == nil {
		items = []any{}
	}
	switch tag {
	case "dictionary":
		return pairs, true
	case "list":
		return List(items), true
	case "set":
		return Set(items), true
	case "tuple":
		return Tuple(items), true
	}
	if len(items) != 2 {
		return nil, false
	}
	args, isTuple := items[0].(Tuple)
	attributes, isDictionary := items[1].(Dictionary)
	return &Object{Class: class, Args: args, Attributes: attributes}, isTuple && isDictionary
}

// attributes reads the id of a container, which only references ask for, and the class of an
// object.
func (q *fastParser) attributes(object bool) (Class, bool) {
	if q.is(` id="i`) {
		for q.at < len(q.doc) && q.doc[q.at] >= '0' && q.doc[q.at] <= '9' {
			q.at++
		}
		if !q.is(`"`) {
			return "", false
		}
	}
	if !object {
		return "", true
	}
	if !q.is(` module="` + module + `" class="`) {
		return "", false
	}
	class, ok := q.chars('"')
	return Class(class), ok && Class(class).known()
}

// fastParseParameters reads a document of parameters.
func fastParseParameters(doc string) (Dictionary, bool) {
	q := newFastParser(doc)
	parameters := Dictionary{}
	if q.is("<instance/>") {
		return parameters, q.whole()
	}
	if !q.is("<instance>") {
		return nil, false
	}
	for q.space(); q.is(`<parameter id="`); q.space() {
		id, ok := q.chars('"')
		if !ok {
			return nil, false
		}
		text, ok := q.scalar("parameter")
		if _, twice := parameters[id]; !ok || twice {
			return nil, false
		}
		if parameters[id] = text; text == "" {
			parameters[id] = nil
		}
	}
	return parameters, q.is("</instance>") && q.whole()
}
