package policy_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/resource"
	"github.com/hostler-project/hostler/policy"
)

// TestEveryFieldHasARule fails for a field of a request that nobody has decided about, and for a
// rule of a field that is gone.
func TestEveryFieldHasARule(t *testing.T) {
	rules, keys := map[string]policy.Field{}, map[string]bool{}
	for _, f := range policy.Fields {
		if rules[f.Name].Name != "" {
			t.Errorf("%s has two rules", f.Name)
		}
		rules[f.Name] = f
		if f.Key != "" {
			keys[f.Key] = true
		}
		if f.Who == "" || f.Who != policy.Inside && f.Within == "" {
			t.Errorf("the rule of %s does not say who and within what", f.Name)
		}
	}
	typ := reflect.TypeFor[compute.Request]()
	for i := range typ.NumField() {
		if name := typ.Field(i).Name; rules[name].Name == "" {
			t.Errorf("compute.Request.%s has no rule in policy.Fields: say who may set it, and within what", name)
		}
		delete(rules, typ.Field(i).Name)
	}
	for name := range rules {
		t.Errorf("policy.Fields has a rule for %s, which compute.Request does not have", name)
	}
	doc := reflect.TypeFor[api.AcquireRequest]()
	for i := range doc.NumField() {
		key, _, _ := strings.Cut(doc.Field(i).Tag.Get("json"), ",")
		// the answer's, not the request's: a token for the caller's own lease
		if !keys[key] && key != "token" {
			t.Errorf("api.AcquireRequest has %q, which no rule in policy.Fields is for", key)
		}
		delete(keys, key)
	}
	for key := range keys {
		t.Errorf("policy.Fields has a rule for %q, which api.AcquireRequest does not have", key)
	}
}

// TestEveryFieldOfCommands is the same of commands on an instance, and of the objects of a cluster
// that ask for leases.
func TestEveryFieldOfCommands(t *testing.T) {
	rules := map[string]bool{}
	for _, f := range policy.Commands {
		rules[f.Name] = true
	}
	typ := reflect.TypeFor[compute.Command]()
	for i := range typ.NumField() {
		if name := typ.Field(i).Name; !rules[name] {
			t.Errorf("compute.Command.%s has no rule in policy.Commands: say who may set it, and within what", name)
		}
		delete(rules, typ.Field(i).Name)
	}
	for name := range rules {
		t.Errorf("policy.Commands has a rule for %s, which compute.Command does not have", name)
	}
	// for the lease that is given, in a Secret of the object's own namespace
	known := map[string]bool{"Token": true}
	for _, f := range policy.Fields {
		known[f.Name] = true
	}
	spec := reflect.TypeFor[resource.LeaseSpec]()
	for i := range spec.NumField() {
		if name := spec.Field(i).Name; !known[name] {
			t.Errorf("resource.LeaseSpec.%s is no field of a request that has a rule", name)
		}
	}
}

// TestDocumented holds the table of docs/controller.md to the rules. With -update it is written.
func TestDocumented(t *testing.T) {
	const file, begin, end = "../docs/controller.md", "<!-- request fields -->\n", "<!-- end of request fields -->\n"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no table between %q and %q", file, begin, end)
	}
	var rows strings.Builder
	rows.WriteString("\n| field | who may set it | within |\n|---|---|---|\n")
	for _, f := range policy.Fields {
		if f.Key != "" {
			fmt.Fprintf(&rows, "| `%s` | %s | %s |\n", f.Key, f.Who, f.Within)
		}
	}
	want := head + begin + rows.String() + "\n" + end + tail
	if *update {
		err = os.WriteFile(file, []byte(want), 0o644)
	} else if want != string(text) {
		err = errors.New("the table is not as the rules are: go test ./policy -run Documented -update")
	}
	if err != nil {
		t.Error(err)
	}
}

var update = flag.Bool("update", false, "write the table of the documents")

const gib = 1 << 30

func TestCheck(t *testing.T) {
	yes, no := true, false
	some := policy.Limits{Images: []string{"debian:*", "registry.example/team/*", "dir:/srv/root", "*"},
		Flavors: []string{"m1.*"}, Locations: []string{"north"}, UserData: &yes,
		Most: compute.Resources{Cores: 4, Memory: 8 * gib, Disk: 100 * gib, GPUs: 1}}
	narrow := policy.Limits{Images: []string{"debian:12"}, Flavors: []string{}, UserData: &no, Most: compute.Resources{Memory: gib}}
	none := policy.Source{Name: "web", Grows: true}
	open := policy.Source{Name: "web", Limits: some, Grows: true}
	for _, c := range []struct {
		what    string
		req     compute.Request
		source  policy.Source
		project policy.Limits
		want    error
	}{
		{"nothing chosen", compute.Request{}, none, policy.Limits{}, nil},
		{"image without a key", compute.Request{Image: "debian:12"}, none, policy.Limits{}, compute.ErrDenied},
		{"image of the owner's", compute.Request{Image: "dir:/", Own: true}, none, policy.Limits{}, nil},
		{"image by a pattern", compute.Request{Image: "debian:12"}, open, policy.Limits{}, nil},
		{"image by a pattern, with a scheme", compute.Request{Image: "docker://debian:12"}, open, policy.Limits{}, nil},
		{"image of a team", compute.Request{Image: "registry.example/team/a:1"}, open, policy.Limits{}, nil},
		{"image of another team", compute.Request{Image: "registry.example/team/../other/a"}, open, policy.Limits{}, compute.ErrDenied},
		{"image one level down", compute.Request{Image: "registry.example/team/a/b"}, open, policy.Limits{}, compute.ErrDenied},
		{"root by a pattern", compute.Request{Image: "host"}, open, policy.Limits{}, compute.ErrDenied},
		{
			"root with a tree by its words", compute.Request{Image: "host:/srv"},
			policy.Source{Limits: policy.Limits{Images: []string{"host:/srv", "host"}}}, policy.Limits{},
			compute.ErrDenied,
		},
		{"directory by a pattern", compute.Request{Image: "dir:."}, open, policy.Limits{}, compute.ErrDenied},
		{"engine's image by a pattern", compute.Request{Image: "docker-daemon:x"}, open, policy.Limits{}, compute.ErrDenied},
		{"archive by a pattern", compute.Request{Image: "x.tar"}, open, policy.Limits{}, compute.ErrDenied},
		{"directory by its words", compute.Request{Image: "dir:/srv/root"}, open, policy.Limits{}, nil},
		{"file", compute.Request{Image: "/etc/shadow"}, open, policy.Limits{}, compute.ErrDenied},
		{"image beyond the project's", compute.Request{Image: "debian:11"}, open, narrow, compute.ErrDenied},
		{"image within the project's", compute.Request{Image: "debian:12"}, open, narrow, nil},
		{"flavor", compute.Request{Flavor: "m1.small"}, open, policy.Limits{}, nil},
		{"flavor beyond", compute.Request{Flavor: "g4.huge"}, open, policy.Limits{}, compute.ErrDenied},
		{"flavor in a project that has none", compute.Request{Flavor: "m1.small"}, open, narrow, compute.ErrDenied},
		{"location", compute.Request{Location: "south"}, open, policy.Limits{}, compute.ErrDenied},
		{"user data without a key", compute.Request{UserData: []byte("x")}, none, policy.Limits{}, compute.ErrDenied},
		{"user data", compute.Request{UserData: []byte("x")}, open, policy.Limits{}, nil},
		{"user data in a project that has none", compute.Request{UserData: []byte("x")}, open, narrow, compute.ErrDenied},
		{"memory without a key", compute.Request{Memory: 1}, none, policy.Limits{}, compute.ErrDenied},
		{"memory of one that does not grow", compute.Request{Memory: 1}, policy.Source{}, policy.Limits{}, nil},
		{"memory of the owner's", compute.Request{Memory: 64 * gib, Own: true}, none, policy.Limits{}, nil},
		{"memory within", compute.Request{Memory: 8 * gib}, open, policy.Limits{}, nil},
		{"memory beyond", compute.Request{Memory: 8*gib + 1}, open, policy.Limits{}, compute.ErrTooLarge},
		{"memory beyond, of the owner's", compute.Request{Memory: 8*gib + 1, Own: true}, open, policy.Limits{}, compute.ErrTooLarge},
		{"memory beyond the project's", compute.Request{Memory: 2 * gib}, open, narrow, compute.ErrTooLarge},
		{
			"memory of its own key", compute.Request{Memory: gib},
			policy.Source{Has: compute.Resources{Memory: gib}, Grows: true}, policy.Limits{}, nil,
		},
		{
			"memory beyond its own key", compute.Request{Memory: gib + 1},
			policy.Source{Has: compute.Resources{Memory: gib}, Grows: true}, policy.Limits{}, compute.ErrTooLarge,
		},
		{
			"the same of the owner's", compute.Request{Memory: gib + 1, Own: true},
			policy.Source{Has: compute.Resources{Memory: gib}, Grows: true}, policy.Limits{}, nil,
		},
		{
			"the same where it binds", compute.Request{Memory: gib + 1, Own: true},
			policy.Source{Has: compute.Resources{Memory: gib}, Binds: true}, policy.Limits{}, compute.ErrTooLarge,
		},
		{"cores", compute.Request{Cores: 4.5}, open, policy.Limits{}, compute.ErrTooLarge},
		{"disk", compute.Request{Disk: 1 << 50}, open, policy.Limits{}, compute.ErrTooLarge},
		{"GPUs", compute.Request{GPUs: 2}, open, policy.Limits{}, compute.ErrTooLarge},
		{
			"GPUs where there are none", compute.Request{GPUs: 1, Own: true}, policy.Source{NoGPUs: true},
			policy.Limits{}, compute.ErrTooLarge,
		},
	} {
		err := policy.Check(c.req, c.source, c.project)
		if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
		if err != nil && compute.Hint(err) == "" {
			t.Errorf("%s: %v has no hint", c.what, err)
		}
	}
}

// FuzzLocal looks that no pattern but the same words lets a name of the machine's own files
// through.
func FuzzLocal(f *testing.F) {
	for _, name := range []string{
		"host", "HOST", "dir:/", "DIR:/", " /etc", "~/x", "./x", "../x", "oci:x", "x.tar", "a/b.qcow2",
		"docker-daemon:x", "debian:12", "a//b", "a/./b",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		s := policy.Source{Limits: policy.Limits{Images: []string{"*", "*/*", "*:*", "debian:*"}}}
		err := policy.Check(compute.Request{Image: name}, s, policy.Limits{})
		if err == nil && name != "" && (policy.Local(name) || strings.Contains(name, "..") && strings.Contains(name, "/../")) {
			t.Errorf("%q is let through", name)
		}
	})
}
