package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/compute"
)

// Fields are the names of the fields that a caller wants. None means all.
type Fields []string

// picker writes the wanted fields of documents of one type.
type picker struct {
	all  bool
	want []pick
}

// pick is a wanted field: its index, its name as written, whether it is omitted when empty, and
// what is wanted of it.
type pick struct {
	index int
	key   []byte // with quotes and colon
	omit  bool
	inner *picker
}

// picker finds the wanted fields of a type. An unknown name is an error that lists the known ones.
func (f Fields) picker(of reflect.Type) (*picker, error) {
	names := slices.DeleteFunc(slices.Clone(f), func(n string) bool { return n == "" })
	if len(names) == 0 {
		return &picker{all: true}, nil
	}
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	out := &picker{}
	var known []string
	wanted := map[string]bool{}
	for _, n := range names {
		wanted[n] = true
	}
	met := map[string]bool{}
	for i := 0; of.Kind() == reflect.Struct && i < of.NumField(); i++ {
		name, rest, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		known = append(known, name)
		var below Fields
		for n := range wanted {
			if sub, ok := strings.CutPrefix(n, name+"."); ok {
				below, met[n] = append(below, sub), true
			}
		}
		if !wanted[name] && below == nil {
			continue
		}
		met[name] = true
		p := pick{index: i, key: []byte(`"` + name + `":`), omit: strings.Contains(rest, "omit"), inner: &picker{all: true}}
		if !wanted[name] {
			slices.Sort(below)
			inner, err := below.picker(of.Field(i).Type)
			if err != nil {
				return nil, err
			}
			p.inner = inner
		}
		out.want = append(out.want, p)
	}
	for _, n := range names {
		if !met[n] {
			return nil, &compute.Error{
				Kind: compute.ErrInvalid, Err: fmt.Errorf("fields: there is no %q", n),
				Hint: "there are " + strings.Join(known, ", "),
			}
		}
	}
	return out, nil
}

// add writes the wanted fields of a document.
func (p *picker) add(to *bytes.Buffer, v reflect.Value) error {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if p.all || v.Kind() != reflect.Struct {
		text, err := json.Marshal(v.Interface())
		to.Write(text)
		return err
	}
	to.WriteByte('{')
	first := true
	for _, w := range p.want {
		f := v.Field(w.index)
		if w.omit && (f.IsZero() || (f.Kind() == reflect.Map || f.Kind() == reflect.Slice) && f.Len() == 0) {
			continue
		}
		if !first {
			to.WriteByte(',')
		}
		first = false
		to.Write(w.key)
		if err := w.inner.add(to, f); err != nil {
			return err
		}
	}
	to.WriteByte('}')
	return nil
}

// chosen is a list of documents of which only the wanted fields are written. The API describes it
// as a plain list.
type chosen[T any] struct {
	text []byte // the documents, with commas between them
}

func (c *chosen[T]) add(p *picker, doc T) error {
	to := bytes.NewBuffer(c.text)
	if to.Len() > 0 {
		to.WriteByte(',')
	}
	err := p.add(to, reflect.ValueOf(&doc))
	c.text = to.Bytes()
	return err
}

// MarshalJSON writes the list.
func (c chosen[T]) MarshalJSON() ([]byte, error) {
	return slices.Concat([]byte("["), c.text, []byte("]")), nil
}

// Schema describes the list with all fields.
func (c chosen[T]) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeArray, Items: r.Schema(reflect.TypeFor[T](), true, "")}
}
