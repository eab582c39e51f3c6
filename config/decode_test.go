package config_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/config"
)

type common struct {
	User string `conf:"user"`
}

type options struct {
	common
	Base   string        `conf:"base,required"`
	Count  int           `conf:"count"`
	Small  uint8         `conf:"small"`
	Ratio  float64       `conf:"ratio"`
	Memory int64         `conf:"memory,size"`
	Wait   time.Duration `conf:"wait-long"`
	Fast   bool          `conf:"fast"`
	Hosts  []string      `conf:"hosts"`
	Kept   string        `conf:"kept"`
	Some   int           `conf:"some,some"`
	Other  chan int
}

func TestDecode(t *testing.T) {
	o := options{Kept: "as it was"}
	err := config.Decode(map[string]string{
		"base": "/srv", "count": "-3", "small": "255", "ratio": "0.5", "memory": "2G", "wait_long": "1d", "fast": "on",
		"hosts": "a, b\nc", "user": "me",
	}, nil, &o)
	want := options{common{"me"}, "/srv", -3, 255, 0.5, 2 << 30, 24 * time.Hour, true, []string{"a", "b", "c"}, "as it was", 0, nil}
	if d := cmp.Diff(want, o, cmp.AllowUnexported(options{})); err != nil || d != "" {
		t.Errorf("err = %v\nd = %s; want no error and d == \"\"", err, d)
	}
	if got := config.Keys(o); !slices.Equal(got, config.Keys(&o)) || len(got) != 11 || got[0] != "user" {
		t.Errorf("keys = %q", got)
	}
}

func TestDecodeErrors(t *testing.T) {
	position := func(key string) (string, int) { return "f", len(key) }
	for key, c := range map[string]struct{ value, want string }{
		"cuont":  {"1", "f:5: cuont: unknown key; did you mean count?"},
		"count":  {"x", `f:5: count: "x" is not a whole number`},
		"some":   {"0", "f:4: some: 0 is not above 0; leave it out for what is usual"},
		"small":  {"256", `"256" is too large`},
		"ratio":  {"x", `"x" is not a number`},
		"memory": {"2X", `"2X" is not a size`},
		"fast":   {"?", `"?" is neither yes nor no`},
		"base":   {" ", "base: is required"},
	} {
		m := map[string]string{"base": "x"}
		m[key] = c.value
		err := config.Decode(m, position, &options{})
		if e, ok := errors.AsType[*config.Error](err); !ok || !strings.Contains(e.Error(), c.want) {
			t.Errorf("%s: err = %v; want ok and e.Error() with c.want", key, err)
		}
	}
	if err := config.Decode(nil, nil, &options{}); err == nil || err.Error() != "base: is required" {
		t.Error(err)
	}
}

func TestDecodeRest(t *testing.T) {
	var o struct {
		A    string            `conf:"a"`
		Rest map[string]string `conf:",rest"`
	}
	if err := config.Decode(map[string]string{"a": "1", "b": "2"}, nil, &o); err != nil || o.A != "1" ||
		len(o.Rest) != 1 || o.Rest["b"] != "2" {
		t.Errorf(`err = %v o = %+v; want no error and o.A == "1" and len(o.Rest) == 1 and o.Rest["b"] == "2"`, err, o)
	}
	if got := config.Keys(o); !slices.Equal(got, []string{"a", "*"}) {
		t.Errorf("keys = %q", got)
	}
}

func TestSourceDecode(t *testing.T) {
	w := newWorld(t)
	w.file("~/etc/sources/s/source.conf", "type = exec\n[exec]\nanything = goes\n")
	err := w.source("s").Decode(&struct{}{})
	if err == nil || !strings.Contains(err.Error(), "source.conf:3: source s: anything: unknown key") {
		t.Error(err)
	}
}
