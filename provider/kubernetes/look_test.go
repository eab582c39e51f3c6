package kubernetes

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

const twoContexts = `apiVersion: v1
kind: Config
current-context: gone
clusters: [{name: one, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: me, user: {token: abc}}]
contexts:
- {name: build, context: {cluster: one, user: me}}
- {name: half, context: {cluster: two, user: me}}
- {name: nobody, context: {cluster: one, user: you}}
`

// TestLook: what the keys name on this machine is looked at without a cluster, and without a word
// where it may come yet.
func TestLook(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("KUBECONFIG", filepath.Join(dir, "none"))
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	config, half := file("config", twoContexts), file("broken", "{a: [")
	pod := file("pod.yaml", "spec: {containers: [{name: main, image: x}]}")
	for _, c := range []struct {
		name           string
		o              Options
		key, says, odd string
	}{
		{"good", Options{Image: "x"}, "", "", ""},
		{"a template", Options{Template: pod}, "", "", ""},
		{"no template", Options{Template: filepath.Join(dir, "nowhere")}, "template", "no such file", ""},
		{"a directory", Options{Template: dir}, "template", "is a directory", ""},
		{"another kind", Options{Template: file("d", "kind: Deployment\nspec: {}")}, "template", "it is a Deployment", ""},
		{"anything", Options{Template: file("e", "hello: world"), Image: "x"}, "template", "no pod", ""},
		{"a list", Options{Template: file("f", "kind: Pod\nspec: [a]"), Image: "x"}, "template", "no pod", ""},
		{"nothing", Options{Template: file("g", ""), Image: "x"}, "template", "no pod", ""},
		{
			"a template without an image", Options{Template: file("h", "kind: Pod\nspec: {containers: [{name: main}]}")},
			"image", "image: ", "",
		},
		{"no image", Options{}, "image", "image: ", ""},
		{"no image, as requests have one", Options{Requested: true}, "", "", "no image: only requests"},
		{"another's pool", Options{Kind: "claim", WarmPool: "theirs"}, "", "", ""},
		{"a claim", Options{Kind: "claim"}, "image", "image: ", ""},
		{"no such container", Options{Template: pod, Container: "other"}, "container", "none of this name", ""},
		{
			"its node's files",
			Options{Template: file("i", "spec: {containers: [{name: main, image: x}], volumes: [{name: v, hostPath: {path: /}}]}")},
			"template", "does not allow", "",
		},
		{"a wrong value", Options{Image: "x", Volumes: []string{"foo"}}, "volumes", "volumes", ""},
		{"no kubeconfig yet", Options{Image: "x", Kubeconfig: filepath.Join(dir, "later"), Context: "build"}, "", "", "is not there yet"},
		{"a context without a kubeconfig", Options{Image: "x", Context: "build"}, "", "", ""},
		{"a broken kubeconfig", Options{Image: "x", Kubeconfig: half}, "kubeconfig", "kubeconfig: ", ""},
		{"a context", Options{Image: "x", Kubeconfig: config, Context: "build"}, "", "", ""},
		{"no such context", Options{Image: "x", Kubeconfig: config, Context: "bulid"}, "context", "no context bulid", ""},
		{"of no cluster", Options{Image: "x", Kubeconfig: config, Context: "half"}, "context", `of the cluster "two"`, ""},
		{"of no user", Options{Image: "x", Kubeconfig: config, Context: "nobody"}, "context", `of the user "you"`, ""},
		{"a current context that there is not", Options{Image: "x", Kubeconfig: config}, "", "", "no context gone"},
	} {
		if err := c.o.Check(); err != nil && c.key != "volumes" {
			t.Errorf("%s: Check: %v", c.name, err)
		}
		odd, err := c.o.Look()
		wrong, _ := errors.AsType[*provider.KeyError](err)
		if c.key == "" && err != nil ||
			c.key != "" &&
				(wrong == nil || wrong.Key != c.key || !strings.Contains(err.Error(), c.says) || !errors.Is(err, compute.ErrInvalid)) {
			t.Errorf("%s: %v, want an error of %q with %q", c.name, err, c.key, c.says)
		}
		if got := strings.Join(odd, "; "); (c.odd == "") != (got == "") || !strings.Contains(got, c.odd) {
			t.Errorf("%s: odd is %q, want %q", c.name, got, c.odd)
		}
	}
	t.Setenv("KUBECONFIG", filepath.Join(dir, "none")+string(filepath.ListSeparator)+config)
	if _, err := (Options{Image: "x", Context: "other"}).Look(); err == nil {
		t.Error("a context that no file of $KUBECONFIG has is taken")
	}
}

// TestOpenWithoutTemplate: what there is of a source goes on though its template's file is gone;
// none is made.
func TestOpenWithoutTemplate(t *testing.T) {
	p := opened(t, Options{Template: filepath.Join(t.TempDir(), "gone")})
	if _, err := p.build.manifest(compute.Spec{ID: "web-1"}); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("a pod of a template that is not there: %v", err)
	}
}
