package proto_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/slaptest"
)

// value makes a value of a vector's JSON: {"$tuple": […]} is a tuple, a number with a point or an
// exponent a float.
func value(t *testing.T, v any) any {
	switch v := v.(type) {
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			f, err := v.Float64()
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		if n, err := v.Int64(); err == nil {
			return n
		}
		return bigInt(v.String())
	case []any:
		list := proto.List{}
		for _, item := range v {
			list = append(list, value(t, item))
		}
		return list
	case map[string]any:
		if tuple, ok := v["$tuple"]; ok {
			return proto.Tuple(value(t, tuple).(proto.List))
		}
		d := proto.Dictionary{}
		for k, item := range v {
			d[k] = value(t, item)
		}
		return d
	}
	return v
}

// The vectors that were recorded of the reference's format.
func TestReferenceVectors(t *testing.T) {
	var vectors struct {
		Write, Read, Refuse []struct {
			Value any
			XML   string
		}
		Instance []struct {
			Parameters any
			XML        string
			Back       any `json:"read back"`
		}
	}
	numbers := json.NewDecoder(bytes.NewReader(slaptest.Values()))
	numbers.UseNumber()
	if err := numbers.Decode(&vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors.Write) < 20 || len(vectors.Read) < 7 || len(vectors.Refuse) < 4 || len(vectors.Instance) < 8 {
		t.Errorf("%d, %d, %d and %d vectors", len(vectors.Write), len(vectors.Read), len(vectors.Refuse), len(vectors.Instance))
	}
	for _, c := range vectors.Write {
		if got, err := proto.Marshal(value(t, c.Value)); err != nil || string(got) != c.XML {
			t.Errorf("%s, %v\nwant %s", got, err, c.XML)
		}
	}
	for _, c := range append(vectors.Read, vectors.Write...) {
		got, err := proto.Unmarshal([]byte(c.XML))
		if d := cmp.Diff(value(t, c.Value), got, sameInt); err != nil || d != "" {
			t.Errorf(`%s: err = %v d = %s; want no error and d == ""`, c.XML, err, d)
		}
	}
	for _, c := range vectors.Refuse {
		if got, err := proto.Unmarshal([]byte(c.XML)); !errors.Is(err, proto.ErrMalformed) {
			t.Errorf("%s: got = %v, err = %v; want error proto.ErrMalformed", c.XML, got, err)
		}
	}
	for _, c := range vectors.Instance {
		if c.Parameters != nil {
			if got, err := proto.FormatParameters(value(t, c.Parameters).(proto.Dictionary)); err != nil || got != c.XML {
				t.Errorf("%s, %v\nwant %s", got, err, c.XML)
			}
		}
		got, err := proto.ParseParameters(c.XML)
		if d := cmp.Diff(value(t, c.Back), got); err != nil || d != "" {
			t.Errorf(`%s: err = %v d = %s; want no error and d == ""`, c.XML, err, d)
		}
	}
}
