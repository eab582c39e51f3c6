// Package exactjson reads JSON of other programs exactly as it is written. encoding/json takes
// "IMAGE" for the key image, and the last of two equal keys. So a program that checks a document
// could see another one than the program that obeys it. Here a key that differs from a known one in
// case, and a repeated key, are errors.
package exactjson

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode"
)

// Unmarshal is json.Unmarshal that refuses such keys. If v does not name the keys, like a map, keys
// in different cases are different.
func Unmarshal(data []byte, v any) error {
	if json.Valid(data) { // else json.Unmarshal's error says where the fault is
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		if err := value(d, reflect.TypeOf(v)); err != nil {
			return err
		}
	}
	return json.Unmarshal(data, v)
}

// value reads one value, which is to become a t; nil: nothing is known of that.
func value(d *json.Decoder, t reflect.Type) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	t = bare(t)
	switch token {
	case json.Delim('{'):
		return object(d, t)
	case json.Delim('['):
		var of reflect.Type
		if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
			of = t.Elem()
		}
		for d.More() {
			if err := value(d, of); err != nil {
				return err
			}
		}
		_, err = d.Token()
	}
	return err
}

// object reads an object, of which the beginning was read.
func object(d *json.Decoder, t reflect.Type) error {
	names, all := map[string]field{}, reflect.Type(nil)
	if t != nil && t.Kind() == reflect.Struct {
		names = fields(t)
	} else if t != nil && t.Kind() == reflect.Map {
		all = t.Elem()
	}
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string) // JSON has nothing else there
		if seen[key] {
			return fmt.Errorf("the key %q is there twice", key)
		}
		seen[key] = true
		of := all
		if known, ok := names[fold(key)]; ok && known.name != key {
			return fmt.Errorf("the key %q is written %q", key, known.name)
		} else if ok {
			of = known.of
		}
		if err := value(d, of); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// field is a key that a struct takes.
type field struct {
	name string
	of   reflect.Type
}

// fields are those of a struct, by their names without case.
func fields(t reflect.Type) map[string]field {
	out := map[string]field{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || f.Tag.Get("json") == "-" || f.Anonymous && name == "" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		out[fold(name)] = field{name, f.Type}
	}
	return out
}

var (
	ownJSON = reflect.TypeFor[json.Unmarshaler]()
	ownText = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// bare is the type that is pointed to; nil: one that reads its JSON by itself, or that is not
// known.
func bare(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() == reflect.Interface || reflect.PointerTo(t).Implements(ownJSON) || reflect.PointerTo(t).Implements(ownText) {
		return nil
	}
	return t
}

// fold is a name without its case, as encoding/json compares names.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, name)
}
