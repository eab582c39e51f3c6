package parameter

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/hostler-project/hostler/slapos/proto"
)

// The forms in which parameters are sent.
const (
	XML  = "xml"         // a text for each
	JSON = "json-in-xml" // one, named _, which holds all as a JSON object
)

// Pairs are parameters that were given as KEY=VALUE, each key once.
func Pairs(words []string) (proto.Dictionary, error) {
	d := proto.Dictionary{}
	for _, word := range words {
		key, text, ok := strings.Cut(word, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("%q is not KEY=VALUE", word)
		}
		if _, again := d[key]; again {
			return nil, fmt.Errorf("%q is given twice", key)
		}
		d[key] = text
	}
	return d, nil
}

// File reads a file of parameters, whose name ends with .json, .yaml, .yml or .xml. The form
// decides how the content of the first three is sent. An XML file is the document <instance>, whose
// parameters stay as they are.
func File(path, form string) (proto.Dictionary, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, proto.MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > proto.MaxSize {
		return nil, fmt.Errorf("%s: it has more than %d bytes", path, proto.MaxSize)
	}
	d, err := parse(strings.ToLower(filepath.Ext(path)), data, form)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// parse turns the content of a file into parameters, by its kind (its extension) and the form in
// which they are to be sent.
func parse(kind string, data []byte, form string) (proto.Dictionary, error) {
	var text string
	var all any
	switch kind {
	case ".xml":
		if root := rootOf(data); root != "" && root != "instance" {
			return nil, fmt.Errorf(
				"its root element is <%s>; of parameters it is <instance>, with a <parameter id=\"NAME\"> for each",
				root,
			)
		}
		return proto.ParseParameters(string(data))
	case ".json":
		var err error
		if text, all, err = readJSON(data); err != nil {
			return nil, err
		}
	case ".yaml", ".yml":
		if err := yaml.Unmarshal(data, &all); err != nil {
			return nil, err
		}
		b, err := appendJSON(nil, all)
		if err != nil {
			return nil, err
		}
		text = string(b)
	default:
		return nil, fmt.Errorf("a file of parameters ends with .json, .yaml, .yml or .xml")
	}
	if _, ok := all.(map[string]any); !ok {
		return nil, fmt.Errorf("parameters are an object, with a name for each")
	}
	if form == XML {
		return slapValue(all).(proto.Dictionary), nil
	}
	return proto.Dictionary{"_": text}, nil
}

// rootOf is the name of a document's root element; "": it has none, or is no XML up to there.
func rootOf(document []byte) string {
	d := xml.NewDecoder(bytes.NewReader(document))
	for {
		token, err := d.RawToken()
		if err != nil {
			return ""
		}
		if start, ok := token.(xml.StartElement); ok {
			return start.Name.Local
		}
	}
}

// readJSON reads a JSON text, and writes it again as the reference's client does: names in their
// order, and ASCII alone.
func readJSON(data []byte) (string, any, error) {
	if !utf8.Valid(data) {
		return "", nil, fmt.Errorf("it is not text in UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	b, v, err := copyJSON(nil, d, 0)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = fmt.Errorf("something stands behind the end of the JSON")
		}
	}
	if err != nil {
		line := 1 + bytes.Count(data[:min(int(d.InputOffset()), len(data))], []byte("\n"))
		return "", nil, fmt.Errorf("line %d: %w", line, err)
	}
	return string(b), v, nil
}

// copyJSON appends the next JSON value to b as the reference writes it, and returns the value too.
// It refuses too deep nesting.
func copyJSON(b []byte, d *json.Decoder, depth int) ([]byte, any, error) {
	if depth > proto.MaxDepth {
		return nil, nil, fmt.Errorf("deeper than %d values within values", proto.MaxDepth)
	}
	token, err := d.Token()
	if err != nil {
		return nil, nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		end, object := byte(']'), map[string]any(nil)
		list := []any{}
		if t == '{' {
			end, object = '}', map[string]any{}
		}
		b = append(b, byte(t))
		for first := true; d.More(); first = false {
			if !first {
				b = append(b, ", "...)
			}
			name := ""
			if object != nil {
				token, err := d.Token()
				if err != nil {
					return nil, nil, err
				}
				name = token.(string)
				if _, again := object[name]; again {
					return nil, nil, fmt.Errorf("%q is given twice", name)
				}
				b = append(appendText(b, name), ": "...)
			}
			var v any
			if b, v, err = copyJSON(b, d, depth+1); err != nil {
				return nil, nil, err
			}
			if object != nil {
				object[name] = v
			} else {
				list = append(list, v)
			}
		}
		if _, err := d.Token(); err != nil {
			return nil, nil, err
		}
		if b = append(b, end); object != nil {
			return b, object, nil
		}
		return b, list, nil
	default:
		b, err = appendJSON(b, t)
		return b, t, err
	}
}

// appendJSON writes a value as the reference's client does.
func appendJSON(b []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return appendText(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case uint64:
		return strconv.AppendUint(b, v, 10), nil
	case float64:
		return appendFloat(b, v)
	case json.Number:
		if !strings.ContainsAny(string(v), ".eE") {
			return append(b, v...), nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, fmt.Errorf("the number %.50s is too large", v)
		}
		return appendFloat(b, f)
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			if b, err = appendJSON(b, item); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case map[string]any:
		b = append(b, '{')
		for i, name := range sortedKeys(v) {
			if i > 0 {
				b = append(b, ", "...)
			}
			if b, err = appendJSON(append(appendText(b, name), ": "...), v[name]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	}
	return nil, fmt.Errorf("JSON has no values like %v; put it between quotes", v)
}

func appendFloat(b []byte, f float64) ([]byte, error) {
	text, err := proto.Text(f)
	if err == nil && strings.ContainsAny(text, "in") { // inf, nan
		err = fmt.Errorf("JSON has no number %s", text)
	}
	return append(b, text...), err
}

// appendText writes a text in ASCII.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\b':
			b = append(b, `\b`...)
		case r == '\f':
			b = append(b, `\f`...)
		case ' ' <= r && r <= '~':
			b = append(b, byte(r))
		case r > 0xffff:
			r -= 0x10000
			b = fmt.Appendf(b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return append(b, '"')
}

// slapValue is a JSON value as one of the protocol's.
func slapValue(v any) any {
	switch v := v.(type) {
	case json.Number:
		if !strings.ContainsAny(string(v), ".eE") {
			if n, err := v.Int64(); err == nil {
				return n
			}
			if n, ok := new(big.Int).SetString(string(v), 10); ok {
				return n
			}
		}
		f, _ := v.Float64()
		return f
	case int:
		return int64(v)
	case uint64:
		return new(big.Int).SetUint64(v)
	case []any:
		list := make(proto.List, len(v))
		for i, item := range v {
			list[i] = slapValue(item)
		}
		return list
	case map[string]any:
		d := make(proto.Dictionary, len(v))
		for name, member := range v {
			d[name] = slapValue(member)
		}
		return d
	}
	return v
}

// Object are parameters that were given as a JSON object, in the form in which they are sent.
func Object(data []byte, form string) (proto.Dictionary, error) { return parse(".json", data, form) }

// Plain are parameters as values of JSON: those that were sent as JSON in one are that object.
func Plain(d proto.Dictionary) map[string]any {
	if text, ok := d["_"].(string); ok && len(d) == 1 {
		if _, v, err := readJSON([]byte(text)); err == nil {
			if object, ok := v.(map[string]any); ok {
				return object
			}
		}
	}
	return plain(map[string]any(d)).(map[string]any)
}
