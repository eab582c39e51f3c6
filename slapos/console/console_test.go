package console_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/slapos/console"
	"github.com/hostler-project/hostler/slapos/proto"
)

type thing struct{}

func (thing) Member(name string) (any, bool) {
	if name == "get" {
		return console.Func(func(_ context.Context, a console.Arguments) (any, error) {
			got, err := a.Bind(1, "x")
			return got["x"], err
		}), true
	}
	return "https://" + name, name == "kvm"
}

func names() map[string]any {
	return map[string]any{"url": "u", "product": thing{}, "f": console.Func(func(_ context.Context, a console.Arguments) (any, error) {
		got, err := a.Bind(1, "a", "b", "c")
		if err != nil {
			return nil, err
		}
		return proto.Dictionary(got), nil
	})}
}

func TestRun(t *testing.T) {
	for line, want := range map[string]any{
		"": nil, "  # nothing": nil, "import product  # is here": nil, "None": nil, "True": true, "-5": int64(-5),
		"1.5e3": 1500.0, "url": "u", "product.kvm": "https://kvm",
		`'it\'s' `: "it's", `"a\n\x41\u00e9\xe9\q"`: "a\nAéé\\q", `u"x"`: "x", `"""a
b"c"""`: "a\nb\"c", "[1, 'a', [],]": proto.List{int64(1), "a", proto.List{}}, "('a',)": proto.List{"a"},
		"{'a': {'b': [None, False]}, \"c\": url}": proto.Dictionary{"a": proto.Dictionary{"b": proto.List{nil, false}}, "c": "u"},
		"f(1)":                           proto.Dictionary{"a": int64(1)},
		"f( url , c = {'x':1}, b=None )": proto.Dictionary{"a": "u", "b": nil, "c": proto.Dictionary{"x": int64(1)}},
		"product.get('x')":               "x", "{'a':[5]}['a'][0]": int64(5),
		"f(f(1))":              proto.Dictionary{"a": proto.Dictionary{"a": int64(1)}},
		"f(1,\n  b=2 # two\n)": proto.Dictionary{"a": int64(1), "b": int64(2)},
	} {
		got, err := (&console.Console{Names: names()}).Run(t.Context(), line)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: err = %v\ndiff = %s; want diff == \"\" and no error", line, err, diff)
		}
	}
	c := &console.Console{Names: names()}
	for _, line := range []string{"x = f('y')", "y = x['a']"} {
		if v, err := c.Run(t.Context(), line); v != nil || err != nil {
			t.Errorf("%s: v = %v, err = %v; want v == nil and no error", line, v, err)
		}
	}
	if v, err := c.Run(t.Context(), "y"); v != "y" || err != nil {
		t.Errorf(`v = %v, err = %v; want v == "y" and no error`, v, err)
	}
}

func TestRunRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"nothing": "there is no nothing; there are f, product, url", "import os": `"import os" is not understood`,
		"import f": `"import f" is not`, "import": `"import" is not`, "import product, f": "is not understood",
		"url.x": "url has no x", "product.x": "product has no x",
		"url()": "url is no function", "product.get()": "product.get: x is missing", "f()": "f: a is missing",
		"f(1, d=2)": "f: it takes no d; there are a, b, c", "f(1, a=2)": "f: a is given twice",
		"f(1,2,3,4)": "at most",
		"f(b=1, 2)":  "behind one with a name", "f(b=1, b=2)": "given twice", "f(1) + 2": `"+ 2" is not understood`,
		"{1: 2}": "are texts", "'a": "no quote at its end", "1.2.3": "is no number",
		"[1][1]": "has no member 1", "{}['a']": "has no member a", strings.Repeat("[", 1000): "deeper than",
		"1 2": "is not understood", "{'a'}": "is not understood",
	} {
		if _, err := (&console.Console{Names: names()}).Run(t.Context(), line); err == nil ||
			!strings.Contains(err.Error(), want) || errors.Is(err, console.ErrIncomplete) {
			t.Errorf("%.40s: err = %v; want an error and err.Error() with want and !error console.ErrIncomplete", line, err)
		}
	}
	for _, line := range []string{"f(", "f(1,", "[1", "{'a':", "x =", `"""a`, "f(1).", "{'a': 1"} {
		if _, err := (&console.Console{Names: names()}).Run(t.Context(), line); !errors.Is(err, console.ErrIncomplete) {
			t.Errorf("%s: err = %v; want error console.ErrIncomplete", line, err)
		}
	}
}

func FuzzRun(f *testing.F) {
	f.Add(`x = f({'a': [1, "b\x41"]}, b=product.get(1.5))`)
	f.Add(`0({'':[0,""] (product.get()`)
	f.Fuzz(func(_ *testing.T, line string) {
		_, _ = (&console.Console{Names: names()}).Run(context.Background(), line)
	})
}
