package proto

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// MarshalJSON writes a dictionary as an object, nil as an empty one. A float keeps its point.
func (d Dictionary) MarshalJSON() ([]byte, error) { return appendJSON(nil, d, 1) }

// appendJSON appends a value as JSON, with the keys of dictionaries in order. Lists, tuples and
// sets become arrays.
func appendJSON(b []byte, v any, depth int) ([]byte, error) {
	if depth > MaxDepth {
		return nil, Unwritable("", "deeper than %d values within values", MaxDepth)
	}
	if len(b) > MaxSize {
		return nil, tooLarge()
	}
	switch v := v.(type) {
	case nil, bool, string, int, int64, *big.Int:
		text, err := json.Marshal(v)
		return append(b, text...), err
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, Unwritable("", "%s, which JSON does not have", appendFloat(nil, v))
		}
		return appendFloat(b, v), nil
	case List:
		return appendArray(b, v, depth)
	case Tuple:
		return appendArray(b, v, depth)
	case Set:
		return appendArray(b, v, depth)
	case Dictionary:
		b = append(b, '{')
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			name, err := json.Marshal(key)
			if err != nil {
				return nil, err
			}
			if b, err = appendJSON(append(append(b, name...), ':'), v[key], depth+1); err != nil {
				return nil, Within(key, err)
			}
		}
		return append(b, '}'), nil
	}
	return nil, Unwritable("", "values of type %T have no form in JSON", v)
}

func appendArray(b []byte, items []any, depth int) ([]byte, error) {
	b = append(b, '[')
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendJSON(b, item, depth+1); err != nil {
			return nil, Within("["+strconv.Itoa(i)+"]", err)
		}
	}
	return append(b, ']'), nil
}

// FromJSON makes a value of a JSON text.
func FromJSON(raw json.RawMessage) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, Malformed("", "not JSON: %v", err)
	}
	return jsonValue(v, raw, 1)
}

// jsonValue turns a decoded JSON value into a value of this package; raw is the document it is
// from.
func jsonValue(v any, raw json.RawMessage, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, Malformed("", "deeper than %d values within values", MaxDepth)
	}
	switch v := v.(type) {
	case string:
		return v, checkJSONText(v, raw)
	case json.Number:
		return jsonNumber(v.String())
	case []any:
		list := make(List, len(v))
		for i, item := range v {
			var err error
			if list[i], err = jsonValue(item, raw, depth+1); err != nil {
				return nil, Within("["+strconv.Itoa(i)+"]", err)
			}
		}
		return list, nil
	case map[string]any:
		d := make(Dictionary, len(v))
		for key, item := range v {
			err := checkJSONText(key, raw)
			if err == nil {
				d[key], err = jsonValue(item, raw, depth+1)
			}
			if err != nil {
				return nil, Within(key, err)
			}
		}
		return d, nil
	}
	return v, nil // null, true, false
}

// checkJSONText refuses characters that XML cannot carry, as input of one API is output of the
// other. The decoder has put a replacement character where half of a surrogate pair stood.
func checkJSONText(s string, raw json.RawMessage) error {
	if err := checkXML(s); err != nil {
		return Malformed("", "%s", strings.TrimPrefix(err.Error(), "slap: "))
	}
	if strings.Contains(s, "\ufffd") && !bytes.Contains(raw, []byte("\ufffd")) && !bytes.Contains(bytes.ToLower(raw), []byte(`\ufffd`)) {
		return Malformed("", "half of a surrogate pair")
	}
	return nil
}

// jsonNumber returns a float64 if the text has a point or an exponent, and else an integer of
// any size.
func jsonNumber(text string) (any, error) {
	if strings.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, Malformed("", "a number that is too large")
		}
		return f, nil
	}
	n, err := readInt(text)
	if err != nil {
		return nil, Malformed("", "a number that is too large")
	}
	return n, nil
}

// UnmarshalJSON reads an object; its numbers are int64, *big.Int or float64.
func (d *Dictionary) UnmarshalJSON(raw []byte) error {
	v, err := FromJSON(raw)
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
	case Dictionary:
		*d = v
	default:
		return Malformed("", "expected an object, got %s", KindOf(v))
	}
	return nil
}
