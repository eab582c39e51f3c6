package deploy_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/deploy"
	"github.com/hostler-project/hostler/provider"
)

// vectors are what provision did.
type vectors struct {
	Destroyable []struct {
		Name     string
		Prefixes []string
		Expect   bool
	}
	Images []struct {
		Images []string
		Name   string
		Index  int // -1: an error
	}
	Paths []struct {
		Path, Expect string
		RelativeTo   string `json:"relative_to"`
	}
	Vars []struct {
		Words []string
		Vars  map[string]string // nil: an error
	}
}

func TestVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Destroyable) < 7 || len(v.Images) < 10 || len(v.Paths) < 6 || len(v.Vars) < 7 {
		t.Fatal("vectors are missing")
	}
	for _, c := range v.Destroyable {
		if got := deploy.Destroyable(c.Name, c.Prefixes); got != c.Expect {
			t.Errorf("Destroyable(%q, %q) = %v", c.Name, c.Prefixes, got)
		}
	}
	for _, c := range v.Images {
		images := make([]provider.Named, len(c.Images))
		for i, name := range c.Images {
			images[i].Name = name
		}
		got, err := provider.ChooseImage(images, c.Name)
		if got != c.Index || (err != nil) != (c.Index < 0) {
			t.Errorf("ChooseImage(%q, %q) = %d, %v, want %d", c.Images, c.Name, got, err, c.Index)
		}
		if err != nil && compute.Hint(err) == "" {
			t.Errorf("ChooseImage(%q, %q): the error says not what there is", c.Images, c.Name)
		}
	}
	for _, c := range v.Paths {
		if got := deploy.ConfigPath(c.Path, "/home/u", c.RelativeTo); got != c.Expect {
			t.Errorf("ConfigPath(%q, %q) = %q, want %q", c.Path, c.RelativeTo, got, c.Expect)
		}
	}
	for _, c := range v.Vars {
		want := c.Vars
		if slices.Equal(c.Words, []string{"a=b=c"}) {
			want = map[string]string{"a": "b=c"} // the one thing that is ours: cut at the first
		}
		got, _, err := deploy.ParseVars(c.Words)
		if (err != nil) != (want == nil) || !maps.Equal(got, want) {
			t.Errorf("ParseVars(%q) = %q, %v, want %q", c.Words, got, err, want)
		}
	}
}

func TestConfigPathHome(t *testing.T) {
	for path, want := range map[string]string{"~": "/home/u", "~/a/": "/home/u/a", "~x": "/d/~x"} {
		if got := deploy.ConfigPath(path, "/home/u", "/d"); got != want {
			t.Errorf("ConfigPath(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestVarsRepeated(t *testing.T) {
	vars, repeated, err := deploy.ParseVars([]string{"a=1", "b=2", "a=3", "b=", "a=4"})
	if err != nil || vars["a"] != "4" || vars["b"] != "" || !slices.Equal(repeated, []string{"a", "b", "a"}) {
		t.Errorf(
			"vars = %v, repeated = %v, err = %v"+
				`; want no error and vars["a"] == "4" and vars["b"] == "" and repeated == []string{"a", `+
				`"b", "a"}`,
			vars, repeated, err,
		)
	}
	if _, _, err := deploy.ParseVars([]string{"hunter2"}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("an error that repeats what may be a secret: %v", err)
	}
}

func TestMadeUp(t *testing.T) {
	seen := map[string]bool{}
	for range 500 {
		name := deploy.RandomName("test-", nil)
		rest, ok := strings.CutPrefix(name, "test-")
		if !ok || len(rest) != 6 || strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			t.Fatalf(`%q; want ok and len(rest) == 6 and strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789") == ""`, name)
		}
		for i, c := range rest {
			if strings.IndexRune(rest, c) != i {
				t.Fatalf("%q has %q twice", name, c)
			}
		}
		if err := deploy.CheckName(name); err != nil {
			t.Fatal(err)
		}
		seen[name] = true
	}
	if len(seen) < 490 { // two alike among 500 of 1.4e9 would be luck already
		t.Errorf("%d different names of 500", len(seen))
	}
	last := deploy.RandomName("", func(n int) int { return n - 1 })
	first := deploy.RandomName("", func(int) int { return 0 })
	if first != "abcdef" || last != "9abcde" {
		t.Errorf(`first = %q, last = %q; want first == "abcdef" and last == "9abcde"`, first, last)
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, good := range []string{"a", "web-1", "Web1.example.com", "1", long, strings.Join([]string{long, long, long, long[:61]}, ".")} {
		if err := deploy.CheckName(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{
		"", "-a", "a-", "a..b", "a.", ".a", "a_b", "a b", "ä", "a\n", long + "a", strings.Repeat("a.", 127) + "a", "a/b",
	} {
		if err := deploy.CheckName(bad); err == nil || compute.Hint(err) == "" {
			t.Errorf(`%q: err = %v; want an error and compute.Hint(err) != ""`, bad, err)
		}
	}
	for _, c := range []struct {
		name string
		n    int
		want []string
	}{
		{"web", 1, []string{"web"}}, {"web", 2, []string{"web-1", "web-2"}},
		{"web.example.com", 2, []string{"web-1.example.com", "web-2.example.com"}},
	} {
		if got := deploy.Numbered(c.name, c.n); !slices.Equal(got, c.want) {
			t.Errorf("Numbered(%q, %d) = %q", c.name, c.n, got)
		}
	}
	got, err := deploy.Combined("web.example.com", [][]string{{"Debian 12", "a.b"}, {"debian-12", "A_B"}, {"__x--y__", "80"}})
	if want := []string{
		"web-debian-12-a-b-1.example.com", "web-debian-12-a-b-2.example.com", "web-x-y-80.example.com",
	}; err != nil || !slices.Equal(got, want) {
		t.Errorf("Combined: %q, %v", got, err)
	}
	if got, err := deploy.Combined("web", [][]string{{"a"}, {"--"}}); err == nil {
		t.Errorf("Combined with a value of no letters: %q", got)
	}
	if deploy.ShortName("a.b.c") != "a" || deploy.ShortName("a") != "a" {
		t.Error("ShortName")
	}
}
