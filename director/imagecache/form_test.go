package imagecache_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
)

const everything = `{"percentage_to_cache":0.5,"weights":{"a":2,"b-*":0,"io-*":{"a":7}},"default_image_weight":3,"image_choice":"random","node_choice":"random","goal":"demand",
"minimum":[["io","a",2]],"maximum":[["*","b-*",0]],"min_ready":0.8,"max_stale":3600,"rebalance":true,"hit_rate":0.9,"write_time":300,"demand":{"io":{"a":1.5}},
"retired":[["a","a0","","2026-03-02T00:00:00Z"]],"time":"2026-03-02T12:00:00Z","seed":18446744073709551615,"settings":{"x":"<y>"},"flavors":["io","mem"],
"images":[["a","a1","md5"],["b-1","b1","",  "2026-03-01T00:00:00Z"]],
"nodes":[["n1","io",true,false,null],["n2","io",0,1,"a0",{"name":"two","bmc":"b","rack":"r","conductor":"c","writes":3,"writing":true,"wiping":true,"since":"2026-03-02T00:00:00Z","why":"w"}]]}`

// TestForm writes what was read, and reads it again: the same fleet, the same settings.
func TestForm(t *testing.T) {
	c, err := strategy.ParseCase([]byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.Form()
	if err != nil || bytes.Count(text, []byte("\n")) != 1 {
		t.Fatalf("err = %v\ntext = %s; want no error and bytes.Count(text, []byte(\"\\n\")) == 1", err, text)
	}
	again, err := strategy.ParseCase(text)
	if err != nil {
		t.Fatalf("err = %v\ntext = %s; want no error", err, text)
	}
	if c.Strategy.Seed() != again.Strategy.Seed() || c.Strategy.Seed() != 1<<64-1 {
		t.Error("the seed is another")
	}
	c.Strategy.Seed, again.Strategy.Seed = nil, nil
	if !reflect.DeepEqual(c, again) {
		t.Errorf("%+v\nand then\n%+v", c, again)
	}
	if n := c.Fleet.Nodes[1]; n.Name != "two" || n.Writes != 3 || !n.Writing || !n.Wiping || n.Since.IsZero() ||
		n.Why != "w" || n.Rack != "r" {
		t.Errorf(
			"n = %+v"+
				`; want n.Name == "two" and n.Writes == 3 and n.Writing and n.Wiping and !n.Since.IsZero() `+
				`and n.Why == "w" and n.Rack == "r"`,
			n,
		)
	}
}

func TestFormErrors(t *testing.T) {
	rest := `"flavors":["io"],"images":[["a","a1",""]],"nodes":[["n1","io",0,0,""]]`
	for _, c := range []struct{ text, says string }{
		{`[]`, "an array and not an object"},
		{`{"nodes": [`, "byte 11: not JSON"},
		{`{"nodes":[],"images":[]}`, "flavors: it is missing"},
		{`{"nodes":null,"images":[],"flavors":[]}`, "nodes: null: not a list"},
		{`{"nodes":[["n","io",0]],"images":[],"flavors":[]}`, `nodes: [0]: ["n","io",0]: not [id, flavor, provisioned, cached, image]`},
		{`{"nodes":[["n","io",0,2,""]],"images":[],"flavors":[]}`, "nodes: [0][3]: 2: neither 0 nor 1"},
		{`{"nodes":[["n","io",0,0,""],["n","io",0,0,""]],"images":[],"flavors":[]}`, `nodes: [1][0]: "n" is node 0 already`},
		{`{"nodes":[["","io",0,0,""]],"images":[],"flavors":[]}`, "nodes: [0][0]: the node has no id"},
		{`{"nodes":[["n","io",0,0,"",{"rak":"r"}]],"images":[],"flavors":[]}`, `nodes: [0][5]: json: unknown field "rak"`},
		{`{"nodes":[],"images":[["a",7]],"flavors":[]}`, "images: [0][1]: 7: not a text"},
		{`{"nodes":[],"images":[["a","i"],["b","i"]],"flavors":[]}`, `images: [1][1]: "i" is there twice`},
		{`{"nodes":[],"images":[["a",""]],"flavors":[]}`, "images: [0][1]: the image has no id"},
		{`{"nodes":[],"images":[],"flavors":["io","io"]}`, `flavors: "io" is there twice`},
		{`{"percentage_to_cache":"half",` + rest + `}`, `percentage_to_cache: "half": not a number`},
		{`{"percentage_to_cache":-0.1,` + rest + `}`, "percentage_to_cache -0.1: not a share between 0 and 1"},
		{`{"weights":{"a":1.5},` + rest + `}`, `weights: "a": 1.5: not a whole number from 0 to 1000000`},
		{`{"weights":{"a":1,"a":2},` + rest + `}`, `weights: "a" is there twice`},
		{`{"weights":{"a[":1,"[*":2},` + rest + `}`, `weights: "[*": not a pattern of names`},
		{`{"weights":{"io":{"a":"x"}},` + rest + `}`, `weights: "io": "a": "x": not a whole number`},
		{`{"weights":7,` + rest + `}`, "weights: not an object of weights by name"},
		{`{"default_image_weight":-1,` + rest + `}`, "default_image_weight: -1: not a whole number"},
		{`{"image_choice":"best",` + rest + `}`, "image_choice best: not weighted or random"},
		{`{"node_choice":"best",` + rest + `}`, `node_choice: "best" is neither least-written nor random`},
		{`{"minimum":[["io","a",-1]],` + rest + `}`, "minimum: [0][2]: -1: not a number of nodes"},
		{`{"maximum":[["","a",1]],` + rest + `}`, `maximum: [0][0]: "": neither a name nor a pattern`},
		{`{"max_stale":-5,` + rest + `}`, "max_stale: -5: not a number of seconds"},
		{`{"max_stale":5,"retired":[["a","a0"]],` + rest + `}`, "time: max_stale needs it"},
		{`{"hit_rate":1,` + rest + `}`, "hit_rate 1: not a share between 0 and 1"},
		{`{"time":"today",` + rest + `}`, `time: "today": not a time`},
		{`{"noodes":[],` + rest + `}`, "noodes: no such key"},
	} {
		_, err := strategy.ParseCase([]byte(c.text))
		if !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("c.text = %s\nerr = %v; want error compute.ErrInvalid and err.Error() with c.says", c.text, err)
		}
	}
}

func FuzzParseCase(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte(`{"flavors":["io"],"images":[["a","a1",""]],"nodes":[["n1","io",0,0,""],["n2","io",0,1,"x"]],"percentage_to_cache":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := strategy.ParseCase(data)
		if err != nil || len(c.Fleet.Nodes) > 1000 {
			return
		}
		d := c.Strategy.Decide(&c.Fleet)
		check(t, &c.Fleet, d.Plan)
		if _, err := strategy.AnswerOf(d.Plan).Plan(&c.Fleet); err != nil {
			t.Error(err)
		}
		for _, n := range c.Fleet.Nodes {
			if why, there := d.Explain(&c.Fleet, n.ID); !there || why == "" {
				t.Errorf("nothing is said of %q", n.ID)
			}
		}
	})
}

func TestWeights(t *testing.T) {
	w, err := strategy.ParseWeights(
		[]byte(
			`{"ubuntu": 3, "ubuntu-*": 5, "*": 1, "ubuntu-2?.*": 7, "io-*": {"ubuntu": 9, "*-old": 0}, "io-fast": ` +
				`{"ubuntu": 11}, "odd[name": 4}`,
		),
	)
	if err != nil {
		t.Fatal(err)
	}
	w.Default = 2
	for _, c := range []struct {
		flavor, image string
		weight        int
	}{{"mem", "ubuntu", 3}, {"mem", "ubuntu-x", 5}, {"mem", "ubuntu-24.04", 7}, {"mem", "coreos", 1}, {"mem", "a/b", 2},
		{"io-1", "ubuntu", 9}, {"io-1", "ubuntu-old", 0}, {"io-1", "ubuntu-new", 5},
		{"io-fast", "ubuntu", 11}, {"io-fast", "x-old", 1}, {"mem", "odd[name", 4}} {
		if got := w.Of(c.flavor, c.image); got != c.weight {
			t.Errorf("%s on %s: %d and not %d", c.image, c.flavor, got, c.weight)
		}
	}
}

func TestParseBounds(t *testing.T) {
	got, err := strategy.ParseBounds(" io/ubuntu-*: 2, */a/b:3\n mem/x: y: 0,")
	want := strategy.Bounds{{Flavor: "io", Image: "ubuntu-*", Nodes: 2}, {Flavor: "*", Image: "a/b", Nodes: 3}, {Flavor: "mem", Image: "x: y", Nodes: 0}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got = %v, err = %v; want no error and got == want", got, err)
	}
	for _, bad := range []string{"io", "io/x", "io/x: -1", "io/x: many", "/x: 1", "io/: 1", "[*/x: 1"} {
		if _, err := strategy.ParseBounds(bad); err == nil || !strings.Contains(err.Error(), "not FLAVOR/IMAGE: NODES") {
			t.Errorf(`%q: err = %v; want an error and err.Error() with "not FLAVOR/IMAGE: NODES"`, bad, err)
		}
	}
}
