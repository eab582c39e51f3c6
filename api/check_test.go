package api_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// TestCheckRequest: what is kept with a lease is little, and can be shown.
func TestCheckRequest(t *testing.T) {
	many := func(n, size int) map[string]string {
		out := map[string]string{}
		for i := range n {
			out[fmt.Sprint("key", i)] = strings.Repeat("x", size)
		}
		return out
	}
	for _, c := range []struct {
		what string
		req  compute.Request
		bad  string
	}{
		{"nothing", compute.Request{}, ""},
		{
			"words",
			compute.Request{
				Name: "Size_1.2-x", Purpose: "für später", Owner: "ann@example.org",
				Labels: map[string]string{"a.b/c": "a value", "none": ""},
			},
			"",
		},
		{"many small labels", compute.Request{Labels: many(64, 100)}, ""},
		{"too many labels", compute.Request{Labels: many(65, 1)}, "65 labels"},
		{"a label too long", compute.Request{Labels: many(1, 4097)}, "4097 bytes"},
		{"labels too long together", compute.Request{Labels: many(10, 2000)}, "together"},
		{"a key that drives a terminal", compute.Request{Labels: map[string]string{"a\x1b": "b"}}, `"a\x1b"`},
		{"a value of two lines", compute.Request{Labels: map[string]string{"a": "b\nc"}}, `a="b\nc"`},
		{"a value that no database keeps", compute.Request{Labels: map[string]string{"a": "\x00"}}, "cannot be seen"},
		{"no key", compute.Request{Labels: map[string]string{"": "b"}}, "key"},
		{"a key that cannot be typed", compute.Request{Labels: map[string]string{"a=b": "c"}}, "no ="},
		{"a purpose", compute.Request{Purpose: "x\x1b[2J"}, `"x\x1b[2J"`},
		{"a purpose that turns the line", compute.Request{Purpose: "x\u202e"}, "cannot be seen"},
		{"an owner", compute.Request{Owner: "ann\r"}, `"ann\r"`},
		{"a name", compute.Request{Name: "a b"}, `"a b"`},
		{"a name like an option", compute.Request{Name: "-x"}, `"-x"`},
		{"a name of full-width letters", compute.Request{Name: "ｗｅｂ"}, "a-z"},
		{"a name with a Cyrillic letter", compute.Request{Name: "wеb"}, "a-z"},
		{"a name with a letter that is empty", compute.Request{Name: "webㅤ"}, `"web\u3164"`},
		{"a name too long", compute.Request{Name: strings.Repeat("x", 201)}, "200 bytes"},
	} {
		switch err := api.CheckRequest(c.req); {
		case c.bad == "" && err != nil:
			t.Errorf("%s: err = %v", c.what, err)
		case c.bad != "" &&
			(!errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), c.bad) ||
				strings.ContainsFunc(err.Error(), func(c rune) bool { return c < ' ' })):
			t.Errorf("%s: %v, want %s", c.what, err, c.bad)
		}
	}
}

// TestCheckFree: a name is of one thing.
func TestCheckFree(t *testing.T) {
	isSource := func(name string) bool { return name == "web" || name == "front" }
	broken := errors.New("the disk is full")
	resolve := func(_ context.Context, name string) (compute.Instance, *compute.Lease, error) {
		switch name {
		case "web-1":
			return compute.Instance{ID: "web-1"}, nil, nil
		case "build":
			return compute.Instance{ID: "web-2"}, &compute.Lease{Name: "build"}, nil
		case "broken":
			return compute.Instance{}, nil, broken
		}
		return compute.Instance{}, nil, compute.ErrNotFound
	}
	for name, want := range map[string]error{"": nil, "new": nil, "build": nil, "web": compute.ErrConflict,
		"web-1": compute.ErrConflict, "web-99": compute.ErrConflict, "front-web-7": compute.ErrConflict,
		"web-": nil, "web-a": nil, "web-9-a": nil, "other-9": nil, "front-other-7": nil, "broken": broken} {
		if err := api.CheckFree(t.Context(), name, isSource, resolve); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
}
