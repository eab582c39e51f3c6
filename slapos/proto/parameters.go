package proto

import (
	"encoding/xml"
	"io"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// FormatParameters writes parameters, or connection parameters, in the form in which a master keeps
// them: the document <instance>, with the values as texts. Other values than texts are written as
// the reference prints them: 8080, 1.5, True, None, [1, 'a']. Errors are [ErrUnwritable] and name
// the parameter.
func FormatParameters(parameters Dictionary) (string, error) {
	var b strings.Builder
	b.WriteString("<?xml version='1.0' encoding='utf-8'?>\n")
	if len(parameters) == 0 {
		b.WriteString("<instance/>\n")
		return b.String(), nil
	}
	b.WriteString("<instance>\n")
	for _, id := range slices.Sorted(maps.Keys(parameters)) {
		if err := checkXML(id); err != nil {
			return "", Within("a parameter's name", err)
		}
		text, err := Text(parameters[id])
		if err == nil {
			err = checkXML(text)
		}
		if err != nil {
			return "", Within(id, err)
		}
		b.WriteString(`  <parameter id="`)
		attributeXML.WriteString(&b, id)
		b.WriteString(`">`)
		textXML.WriteString(&b, text)
		b.WriteString("</parameter>\n")
		if b.Len() > MaxSize {
			return "", tooLarge()
		}
	}
	b.WriteString("</instance>\n")
	return b.String(), nil
}

var (
	textXML      = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#13;")
	attributeXML = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "\r", "&#13;", "\n", "&#10;", "\t", "&#9;")
)

// checkXML says whether XML can carry all of a text.
func checkXML(s string) error {
	for i, r := range s {
		if !writable(r) || r == unicode.ReplacementChar && !strings.HasPrefix(s[i:], "\ufffd") {
			return badCharacter(s, i)
		}
	}
	return nil
}

// ParseParameters reads the document <instance>: a text, or nil for an empty element, for each
// name. An absent document, "", has no parameters; texts of the same name are joined with a space.
// Errors are [ErrMalformed].
func ParseParameters(document string) (Dictionary, error) {
	if document == "" {
		return Dictionary{}, nil
	}
	if len(document) > MaxSize {
		return nil, tooLong(len(document))
	}
	if parameters, ok := fastParseParameters(document); ok {
		return parameters, nil
	}
	return parseAnyParameters(document)
}

// parseAnyParameters reads a document of any form that XML has.
func parseAnyParameters(document string) (Dictionary, error) {
	parameters := Dictionary{}
	d := &decoder{x: newXML(document)}
	token, err := d.next()
	if err == io.EOF {
		return nil, d.fail("an empty document")
	} else if err != nil {
		return nil, notXML(err)
	}
	if _, ok := token.(xml.StartElement); !ok {
		return nil, d.fail("no root element")
	}
	for {
		token, err := d.x.Token()
		if err != nil {
			return nil, notXML(err)
		}
		switch t := token.(type) {
		case xml.Directive:
			return nil, d.fail("a document type declaration, which this format does not have")
		case xml.EndElement:
			if err := d.end(); err != nil {
				return nil, err
			}
			return parameters, nil
		case xml.StartElement:
			if t.Name.Local != "parameter" {
				if err := d.x.Skip(); err != nil {
					return nil, notXML(err)
				}
				continue
			}
			id := attribute(t, "id")
			if id == "" && !slices.ContainsFunc(t.Attr, func(a xml.Attr) bool { return a.Name.Local == "id" }) {
				return nil, d.fail("a <parameter> without an id")
			}
			text, err := d.text("parameter")
			if err != nil {
				return nil, notXML(err)
			}
			before, _ := parameters[id].(string)
			switch {
			case text == "" && before == "":
				parameters[id] = nil
			case before == "":
				parameters[id] = text
			case text != "":
				parameters[id] = before + " " + text
			}
		}
	}
}

// end reads up to the end of the document, where nothing but white space may stand.
func (d *decoder) end() error {
	for {
		token, err := d.x.Token()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return notXML(err)
		}
		if text, ok := token.(xml.CharData); !ok || strings.Trim(string(text), blank) != "" {
			return d.fail("something stands after the end of the root")
		}
	}
}

// Text is a value as a text, as the reference prints it: that is how parameters are kept that are
// not texts.
func Text(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	b, err := appendRepr(nil, v, 1)
	return string(b), err
}

// appendRepr appends a value as Python's repr prints it.
func appendRepr(b []byte, v any, depth int) ([]byte, error) {
	if depth > MaxDepth {
		return nil, Unwritable("", "deeper than %d values within values", MaxDepth)
	}
	if len(b) > MaxSize {
		return nil, tooLarge()
	}
	switch v := v.(type) {
	case nil:
		return append(b, "None"...), nil
	case bool:
		if v {
			return append(b, "True"...), nil
		}
		return append(b, "False"...), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case *big.Int:
		return append(b, v.String()...), nil
	case float64:
		return appendFloat(b, v), nil
	case string:
		return quote(b, v), nil
	case List:
		return reprs(b, "[", v, "]", depth)
	case Tuple:
		if len(v) == 1 {
			return reprs(b, "(", v, ",)", depth)
		}
		return reprs(b, "(", v, ")", depth)
	case Set:
		if len(v) == 0 {
			return append(b, "set()"...), nil
		}
		return reprs(b, "{", v, "}", depth)
	case Dictionary:
		b = append(b, '{')
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(quote(b, key), ": "...)
			var err error
			if b, err = appendRepr(b, v[key], depth+1); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	}
	return nil, Unwritable("", "values of type %T are no parameters", v)
}

func reprs(b []byte, open string, items []any, end string, depth int) ([]byte, error) {
	b = append(b, open...)
	for i, item := range items {
		if i > 0 {
			b = append(b, ", "...)
		}
		var err error
		if b, err = appendRepr(b, item, depth+1); err != nil {
			return nil, err
		}
	}
	return append(b, end...), nil
}

// quote writes a text within a list as the reference does: between single quotes, unless only those
// stand in it.
func quote(b []byte, s string) []byte {
	mark := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		mark = '"'
	}
	b = append(b, mark)
	for _, r := range s {
		switch {
		case r == rune(mark) || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case unicode.IsPrint(r):
			b = append(b, string(r)...)
		case r <= math.MaxUint8:
			b = hex(append(b, `\x`...), r, 2)
		case r <= math.MaxUint16:
			b = hex(append(b, `\u`...), r, 4)
		default:
			b = hex(append(b, `\U`...), r, 8)
		}
	}
	return append(b, mark)
}

func hex(b []byte, r rune, digits int) []byte {
	text := strconv.FormatInt(int64(r), 16)
	return append(append(b, strings.Repeat("0", digits-len(text))...), text...)
}
