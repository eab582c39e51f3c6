package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/provider/catalog"
	"github.com/hostler-project/hostler/text/nearest"
	"github.com/hostler-project/hostler/text/units"
)

// Decode fills the struct that out points to from settings. Fields have the tag `conf:"name"`.
// Their types may be string, bool ("yes", "no"), any integer, float64, time.Duration, []string
// (separated by commas), or an embedded struct of such fields. Options after the name:
//
//	conf:"memory,size"    an int64 of bytes, written "512M"
//	conf:"base,required"  the key must be given
//	conf:"pids,some"      0 is an error, as leaving the key out means something else
//	conf:",rest"          a map[string]string that gets all keys without a field
//
// "-" and "_" are the same in names and keys. Fields without a tag or without a key stay as they
// are. An unknown key or a wrong value is an *Error with the place that position returns; several
// are joined, and errors.As finds the first. position may be nil. A struct that cannot be filled
// panics.
func Decode(settings map[string]string, position func(key string) (file string, line int), out any) error {
	var wrong errorList
	for _, e := range decode(settings, position, out) {
		wrong.add(e)
	}
	return wrong.err()
}

// decode is Decode, and returns all errors separately.
func decode(settings map[string]string, position func(key string) (file string, line int), out any) (wrong []*Error) {
	fields := fieldsOf(reflect.ValueOf(out).Elem())
	at := func(key, msg string, err error) *Error {
		e := &Error{Key: key, Msg: msg, Err: err}
		if position != nil {
			e.File, e.Line = position(key)
		}
		wrong = append(wrong, e)
		return e
	}
	given := map[string]string{}
	for k := range settings {
		given[foldKey(k)] = k
	}
	var rest map[string]string
	for _, f := range fields {
		if f.has("rest") {
			rest = map[string]string{}
			f.value.Set(reflect.ValueOf(rest))
			continue
		}
		key, ok := given[foldKey(f.name)]
		if !ok {
			if f.has("required") {
				at(f.name, "is required", nil)
			}
			continue
		}
		delete(given, foldKey(f.name))
		if f.has("required") && strings.TrimSpace(settings[key]) == "" {
			at(key, "is required", nil)
		} else if err := f.set(settings[key]); err != nil {
			at(key, "", err)
		} else if f.has("some") && f.value.IsZero() {
			at(key, fmt.Sprintf("%s is not above 0; leave it out for what is usual", settings[key]), nil)
		}
	}
	for _, folded := range slices.Sorted(maps.Keys(given)) {
		if rest == nil {
			at(given[folded], "unknown key", nil).Nearest = nearest.Near(folded, Keys(out))
			continue
		}
		rest[given[folded]] = settings[given[folded]]
	}
	return wrong
}

// keysOfKind returns the names of the keys in a kind's section; "*": any.
func keysOfKind(k *catalog.Kind) []string {
	if k.Options == nil {
		return []string{"*"}
	}
	return Keys(k.Options())
}

// Keys returns the names of the keys that Decode accepts for a struct, or a pointer to one.
func Keys(options any) []string {
	v := reflect.ValueOf(options)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	out := []string{}
	for _, f := range fieldsOf(v) {
		if f.has("rest") {
			out = append(out, "*")
		} else {
			out = append(out, f.name)
		}
	}
	return out
}

type field struct {
	name    string
	options []string
	value   reflect.Value
}

func (f *field) has(option string) bool { return slices.Contains(f.options, option) }

// fieldsOf returns the fields of a struct that have a conf tag, also those of embedded structs.
func fieldsOf(v reflect.Value) []field {
	var out []field
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		tag, ok := sf.Tag.Lookup("conf")
		if !ok {
			if sf.Anonymous && sf.Type.Kind() == reflect.Struct {
				out = append(out, fieldsOf(v.Field(i))...)
			}
			continue
		}
		parts := strings.Split(tag, ",")
		out = append(out, field{parts[0], parts[1:], v.Field(i)})
	}
	return out
}

// set parses a text into the field, by the field's type.
func (f *field) set(text string) error {
	switch p := f.value.Addr().Interface().(type) {
	case *time.Duration:
		d, err := units.ParseDuration(text)
		*p = d
		return err
	case *[]string:
		*p = list(text)
		return nil
	case *int64:
		if f.has("size") {
			n, err := units.ParseSize(text)
			*p = n
			return err
		}
	}
	switch v := f.value; v.Kind() {
	case reflect.String:
		v.SetString(text)
		return nil
	case reflect.Bool:
		b, err := parseBool(text)
		v.SetBool(b)
		return err
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return number(text, "a whole number", err)
		}
		v.SetInt(n)
		return nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			return number(text, "a whole number from 0", err)
		}
		v.SetUint(n)
		return nil
	case reflect.Float32, reflect.Float64:
		n, err := strconv.ParseFloat(text, v.Type().Bits())
		if err != nil {
			return number(text, "a number", err)
		}
		v.SetFloat(n)
		return nil
	}
	panic(fmt.Sprintf("config: Decode has no way to fill a %v", f.value.Type()))
}

// number returns the error for a text that is not a number of the right form.
func number(text, what string, err error) error {
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("%q is too large", text)
	}
	return fmt.Errorf("%q is not %s", text, what)
}
