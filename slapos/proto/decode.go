package proto

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Unmarshal reads a document and returns its value, of which texts may share one piece of memory.
// Every error is [ErrMalformed].
func Unmarshal(data []byte) (any, error) {
	if len(data) > MaxSize {
		return nil, tooLong(len(data))
	}
	return unmarshal(string(data))
}

func tooLong(n int) error {
	return Malformed("", "a document of %d bytes; at most %d are read", n, MaxSize)
}

// unmarshal reads a document by the fast parser, or by the whole one if that does not know it.
func unmarshal(doc string) (any, error) {
	if len(doc) > MaxSize {
		return nil, tooLong(len(doc))
	}
	if v, ok := fastParseValue(doc); ok {
		return v, nil
	}
	return parseAnyXML(doc)
}

// parseAnyXML reads a document of any form that XML has.
func parseAnyXML(doc string) (any, error) {
	d := decoder{x: newXML(doc), closed: map[string]closed{}}
	v, err := d.document()
	if err != nil {
		return nil, notXML(err)
	}
	return v, nil
}

// notXML makes an error of the tokenizer one of ours; ours stay.
func notXML(err error) error {
	if s, ok := errors.AsType[*xml.SyntaxError](err); ok {
		return Malformed("", "not XML: line %d: %s", s.Line, s.Msg)
	}
	if err == io.EOF {
		return Malformed("", "not XML: it ends too early")
	}
	if _, ok := errors.AsType[*fault](err); !ok {
		return Malformed("", "not XML: %v", err)
	}
	return err
}

// newXML reads XML without entities of its own and without character sets that need tables.
func newXML(doc string) *xml.Decoder {
	x := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(doc, "\ufeff")))
	x.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		if c := strings.ToLower(charset); c == "ascii" || c == "us-ascii" {
			return in, nil
		}
		return nil, Malformed("", "the encoding %.40q; only UTF-8 and ASCII are read", charset)
	}
	return x
}

type decoder struct {
	x      *xml.Decoder
	closed map[string]closed
	again  int64 // bytes that references stand for
}

// closed is a container that a reference may name: one that is read to its end.
type closed struct {
	value any
	size  int64
}

func (d *decoder) fail(format string, args ...any) error {
	return Malformed("byte "+strconv.FormatInt(d.x.InputOffset(), 10), format, args...)
}

// next returns the next start or end of an element; between them only white space may stand.
func (d *decoder) next() (xml.Token, error) {
	for {
		token, err := d.x.Token()
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement, xml.EndElement:
			return t, nil
		case xml.CharData:
			if len(bytes.Trim(t, blank)) != 0 {
				return nil, d.fail("text between elements")
			}
		case xml.Directive:
			return nil, d.fail("a document type declaration, which this format does not have")
		}
	}
}

// document reads one <marshal> with one value, and nothing behind it.
func (d *decoder) document() (any, error) {
	token, err := d.next()
	if err == io.EOF {
		return nil, d.fail("an empty document")
	} else if err != nil {
		return nil, err
	}
	if start, ok := token.(xml.StartElement); !ok || start.Name.Local != "marshal" {
		return nil, d.fail("the root is not <marshal>")
	}
	values, err := d.children(0)
	if err != nil {
		return nil, err
	}
	if len(values) != 1 {
		return nil, d.fail("<marshal> holds %d values instead of one", len(values))
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return values[0], nil
}

// children reads the values up to the end of the element that is open.
func (d *decoder) children(depth int) ([]any, error) {
	var values []any
	for {
		token, err := d.next()
		if err != nil {
			return nil, err
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			return values, nil
		}
		v, err := d.value(start, depth+1)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
}

// value decodes one element. Code is refused, and so are values deeper than MaxDepth.
func (d *decoder) value(start xml.StartElement, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, d.fail("deeper than %d values within values", MaxDepth)
	}
	switch tag := start.Name.Local; tag {
	case "list", "tuple", "set", "dictionary", "object":
		return d.container(start, depth)
	case "reference":
		return d.reference(start)
	case "string", "unicode", "int", "long", "float", "bool", "complex", "none":
		text, err := d.text(tag)
		if err != nil {
			return nil, err
		}
		v, err := scalar(tag, text)
		if err != nil {
			return nil, d.fail("what stands in <%s> %v", tag, err)
		}
		return v, nil
	case "code":
		return nil, d.fail("<code>: code is never taken from a document")
	default:
		return nil, d.fail("an unknown element <%.40s>", tag)
	}
}

// scalar decodes the text of an element without children. Any tag but those of numbers and none
// is a text.
func scalar(tag, text string) (any, error) {
	switch tag {
	case "int", "long":
		return readInt(text)
	case "bool":
		n, err := readInt(text)
		return n != int64(0), err
	case "float":
		return readFloat(text)
	case "complex":
		re, im, _ := strings.Cut(strings.Trim(text, blank), " ")
		r, err := readFloat(re)
		if err != nil {
			return nil, err
		}
		i, err := readFloat(im)
		return complex(r, i), err
	case "none":
		if strings.Trim(text, blank) != "" {
			return nil, errNotEmpty
		}
		return nil, nil
	}
	return unescape(text), nil
}

var errNotEmpty = errors.New("is not empty")

// unescape undoes the inner of the two escapings of a text.
func unescape(s string) string {
	if !strings.Contains(s, "&") {
		return s
	}
	return inner.Replace(s)
}

var inner = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")

// text reads a scalar up to its end.
func (d *decoder) text(tag string) (string, error) {
	var text []byte
	for {
		token, err := d.x.Token()
		if err != nil {
			return "", err
		}
		switch t := token.(type) {
		case xml.CharData:
			text = append(text, t...)
		case xml.EndElement:
			return string(text), nil
		case xml.StartElement:
			return "", d.fail("an element inside <%s>", tag)
		case xml.Directive:
			return "", d.fail("a document type declaration, which this format does not have")
		}
	}
}

// container reads a list, set, tuple, dictionary or object with all in it.
func (d *decoder) container(start xml.StartElement, depth int) (any, error) {
	from, again := d.x.InputOffset(), d.again
	class := Class("")
	if start.Name.Local == "object" {
		// Refused before what stands in it is read.
		if class = Class(attribute(start, "class")); attribute(start, "module") != module || !class.known() {
			return nil, d.fail(
				"an object of class %.80q of module %.80q, which is none of the four that are allowed", class,
				attribute(start, "module"),
			)
		}
	}
	values, err := d.children(depth)
	if err != nil {
		return nil, err
	}
	if values == nil {
		values = []any{}
	}
	var v any
	switch start.Name.Local {
	case "list":
		v = List(values)
	case "set":
		v = Set(values)
	case "tuple":
		return Tuple(values), nil // has no id
	case "dictionary":
		v, err = d.pairs(values)
	case "object":
		v, err = d.object(class, values)
	}
	if err != nil {
		return nil, err
	}
	if id := attribute(start, "id"); id != "" {
		size := d.x.InputOffset() - from + d.again - again + int64(len("<list></list>"))
		d.closed[id] = closed{v, size}
	}
	return v, nil
}

func (d *decoder) pairs(values []any) (Dictionary, error) {
	if len(values)%2 != 0 {
		return nil, d.fail("a dictionary with %d children: a key without a value", len(values))
	}
	v := make(Dictionary, len(values)/2)
	for i := 0; i < len(values); i += 2 {
		key, ok := values[i].(string)
		if !ok {
			return nil, d.fail("a dictionary with a key that is not a text")
		}
		v[key] = values[i+1]
	}
	return v, nil
}

func (d *decoder) object(class Class, values []any) (*Object, error) {
	if len(values) == 2 {
		args, isTuple := values[0].(Tuple)
		attributes, isDictionary := values[1].(Dictionary)
		if isTuple && isDictionary {
			return &Object{Class: class, Args: args, Attributes: attributes}, nil
		}
	}
	return nil, d.fail("an object has a tuple and a dictionary, and nothing else")
}

// reference returns the value that the id names, which must be closed. The size of all values
// repeated this way counts against MaxSize.
func (d *decoder) reference(start xml.StartElement) (any, error) {
	if text, err := d.text("reference"); err != nil {
		return nil, err
	} else if strings.Trim(text, blank) != "" {
		return nil, d.fail("what stands in <reference> is not empty")
	}
	id := attribute(start, "id")
	named, ok := d.closed[id]
	if !ok {
		return nil, d.fail("a reference to %.40q, which no list, set, dictionary or object before it has that is closed", id)
	}
	// A shared value costs nothing here, but a walk over the result meets it again each time.
	d.again += named.size
	if d.x.InputOffset()+d.again > MaxSize {
		return nil, d.fail("references make this document larger than %d bytes", MaxSize)
	}
	return named.value, nil
}

func attribute(start xml.StartElement, name string) string {
	for _, a := range start.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}
