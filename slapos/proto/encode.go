package proto

import (
	"maps"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Marshal writes v as a document. A value that the format cannot carry is an error that is
// [ErrUnwritable] and names its place, never its content.
func Marshal(v any) ([]byte, error) { return Append(nil, v) }

// Append is Marshal that appends to dst.
func Append(dst []byte, v any) ([]byte, error) {
	e := encoder{buf: append(dst, "<marshal>"...), id: 1, most: len(dst) + MaxSize}
	if err := e.value(v, 1); err != nil {
		return nil, err
	}
	e.put("</marshal>")
	if len(e.buf) > e.most {
		return nil, tooLarge()
	}
	return e.buf, nil
}

func tooLarge() error { return Unwritable("", "larger than %d bytes", MaxSize) }

type encoder struct {
	buf  []byte
	id   int // of the last container that was opened; the first gets 2
	most int // bytes in buf
}

// value writes a value in XML. Depth and size are bounded, so a value that contains itself is an
// error.
func (e *encoder) value(v any, depth int) error {
	if depth > MaxDepth {
		return Unwritable("", "deeper than %d values within values", MaxDepth)
	}
	if len(e.buf) > e.most {
		return tooLarge() // here too: a value may hold itself
	}
	switch v := v.(type) {
	case nil:
		e.put("<none/>")
	case string:
		return e.text(v)
	case bool:
		if v {
			e.put("<bool>1</bool>")
		} else {
			e.put("<bool>0</bool>")
		}
	case int:
		e.int(int64(v))
	case int64:
		e.int(v)
	case *big.Int:
		if v == nil {
			return Unwritable("", "an integer without a value")
		}
		tag := "int"
		if v.CmpAbs(longFrom) >= 0 {
			tag = "long"
		}
		e.put("<", tag, ">", v.String(), "</", tag, ">")
	case float64:
		e.put("<float>")
		e.buf = appendFloat(e.buf, v)
		e.put("</float>")
	case complex128:
		e.put("<complex>")
		e.buf = appendFloat(e.buf, real(v))
		e.buf = append(e.buf, ' ')
		e.buf = appendFloat(e.buf, imag(v))
		e.put("</complex>")
	case List:
		return e.items("list", v, depth, true)
	case Set:
		return e.items("set", v, depth, true)
	case Tuple:
		return e.items("tuple", v, depth, false)
	case Dictionary:
		return e.dictionary(v, depth)
	case *Object:
		return e.object(v, depth)
	default:
		return Unwritable("", "values of type %T have no form here", v)
	}
	return nil
}

func (e *encoder) put(parts ...string) {
	for _, p := range parts {
		e.buf = append(e.buf, p...)
	}
}

func (e *encoder) int(n int64) {
	e.put("<int>")
	e.buf = strconv.AppendInt(e.buf, n, 10)
	e.put("</int>")
}

// open writes a start tag up to its last attribute.
func (e *encoder) open(tag string, numbered bool) {
	e.put("<", tag)
	if numbered {
		e.id++
		e.put(` id="i`)
		e.buf = strconv.AppendInt(e.buf, int64(e.id), 10)
		e.put(`"`)
	}
}

func (e *encoder) items(tag string, items []any, depth int, numbered bool) error {
	e.open(tag, numbered)
	if len(items) == 0 {
		e.put("/>")
		return nil
	}
	e.put(">")
	for i, item := range items {
		if err := e.value(item, depth+1); err != nil {
			return Within("["+strconv.Itoa(i)+"]", err)
		}
	}
	e.put("</", tag, ">")
	return nil
}

// dictionary writes d in the order of its keys.
func (e *encoder) dictionary(d Dictionary, depth int) error {
	e.open("dictionary", true)
	if len(d) == 0 {
		e.put("/>")
		return nil
	}
	e.put(">")
	for _, key := range slices.Sorted(maps.Keys(d)) {
		if err := e.text(key); err != nil {
			return Within("a key of it", err)
		}
		if err := e.value(d[key], depth+1); err != nil {
			return Within(key, err)
		}
	}
	e.put("</dictionary>")
	return nil
}

func (e *encoder) object(o *Object, depth int) error {
	if o == nil || !o.Class.known() {
		return Unwritable("", "an object that is none of the four classes")
	}
	e.open("object", true)
	e.put(` module="`, module, `" class="`, string(o.Class), `">`)
	if err := e.items("tuple", o.Args, depth+1, false); err != nil {
		return Within(string(o.Class), err)
	}
	if err := e.dictionary(o.Attributes, depth+1); err != nil {
		return err
	}
	e.put("</object>")
	return nil
}

// text writes a text, which is escaped twice; other than ASCII characters become references.
func (e *encoder) text(s string) error {
	e.put("<string>")
	from := 0
	for i := 0; i < len(s); {
		r, size, instead := rune(s[i]), 1, ""
		switch {
		case r >= utf8.RuneSelf:
			r, size = utf8.DecodeRuneInString(s[i:])
			if !writable(r) || r == utf8.RuneError && size == 1 {
				return badCharacter(s, i)
			}
		case r == '&':
			instead = "&amp;amp;"
		case r == '<':
			instead = "&amp;lt;"
		case r == '>':
			instead = "&amp;gt;"
		case r == '\r':
			instead = "&#13;"
		case !writable(r):
			return badCharacter(s, i)
		}
		if instead == "" && size == 1 {
			i++
			continue
		}
		e.put(s[from:i], instead)
		if instead == "" {
			e.put("&#")
			e.buf = strconv.AppendInt(e.buf, int64(r), 10)
			e.put(";")
		}
		i += size
		from = i
	}
	e.put(s[from:], "</string>")
	return nil
}

// writable says whether XML 1.0 can carry a character at all.
func writable(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd ||
		r >= 0x10000 && r <= utf8.MaxRune
}

func badCharacter(s string, at int) error {
	r, size := utf8.DecodeRuneInString(s[at:])
	if r == utf8.RuneError && size <= 1 {
		return Unwritable("", "byte %d of the text (0x%02x) is not UTF-8", at, s[at])
	}
	return Unwritable("", "XML cannot carry the character U+%04X, which is at byte %d of the text", r, at)
}
