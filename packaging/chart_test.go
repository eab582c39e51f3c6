package packaging_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/kubernetes"
)

var lab = &computetest.Kubernetes{Port: 19043}

// place is for what the tests share; it is removed at the end.
var place string

func TestMain(m *testing.M) {
	code := 1
	var err error
	if place, err = os.MkdirTemp("", "hostler-packaging-"); err == nil {
		code = m.Run()
		lab.End()
		err = os.RemoveAll(place)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// built is a program of this tree, made as it is released.
func built(t testing.TB, program func() (string, error)) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func build(name, dir, pkg string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		path := filepath.Join(place, name)
		cmd := exec.Command("go", "build", "-C", dir, "-ldflags", "-s -w", "-o", path, pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("go build %s: %w: %s", pkg, err, out)
		}
		return path, err
	})
}

// helm is Helm's engine.
var helm = build("chart", "../tools", "./chart")

const chart = "helm/hostler"

// rendered returns what the chart says with some values, in a namespace.
func rendered(t testing.TB, namespace, values string, more ...string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(built(t, helm), append(append([]string{"-n", namespace, "-f", file}, more...), chart)...)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", errors.New(said.String())
	}
	return string(out), nil
}

func mustRender(t testing.TB, namespace, values string, more ...string) string {
	t.Helper()
	text, err := rendered(t, namespace, values, more...)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// object is one of those that the chart makes.
type object struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Rules []struct {
		Groups    []string `json:"apiGroups"`
		Resources []string `json:"resources"`
		Verbs     []string `json:"verbs"`
	} `json:"rules"`
	Data map[string]string `json:"data"`
}

func objects(t testing.TB, text string) (out []object) {
	t.Helper()
	for _, doc := range strings.Split("\n"+text, "\n---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(doc+"\n"), &o); err != nil {
			t.Fatalf("%v: %s", err, doc)
		}
		if o.Kind != "" {
			out = append(out, o)
		}
	}
	return out
}

// TestManifests has the plain manifests be what the chart says without any values.
func TestManifests(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command(built(t, helm), chart, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	read := func(dir string) map[string]string {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			out[filepath.Base(file)] = string(text)
		}
		return out
	}
	want, got := read(dir), read("kubernetes")
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("kubernetes/%s is not what the chart says: make manifests", name)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("kubernetes/%s is not of the chart", name)
	}
}

// TestRoles has each Role be what the provider says that it needs, no more and no less.
func TestRoles(t *testing.T) {
	for name, c := range map[string]struct {
		values string
		o      kubernetes.Options
	}{
		"pod":       {"", kubernetes.Options{}},
		"sandbox":   {"pods: {kinds: [sandbox]}", kubernetes.Options{Kind: "sandbox"}},
		"claim":     {"pods: {kinds: [claim]}", kubernetes.Options{Kind: "claim", WarmPool: "warm"}},
		"warm pool": {"pods: {kinds: [warm-pool]}", kubernetes.Options{Kind: "claim"}},
		"open":      {"pods: {policies: false}", kubernetes.Options{Network: "open"}},
	} {
		t.Run(name, func(t *testing.T) {
			var want, got []string
			for _, g := range kubernetes.Grants(c.o) {
				want = append(want, g.String())
			}
			for _, o := range objects(t, mustRender(t, "hostler", c.values)) {
				if o.Kind == "ClusterRole" || o.Kind == "ClusterRoleBinding" {
					t.Errorf("it makes a %s", o.Kind)
				}
				for _, r := range o.Rules {
					if o.Kind != "Role" || o.Metadata.Namespace != "hostler-pods" || len(r.Groups) != 1 || len(r.Resources) != 1 {
						t.Errorf("the rule %+v of %s %s/%s", r, o.Kind, o.Metadata.Namespace, o.Metadata.Name)
						continue
					}
					got = append(got, kubernetes.Grant{Group: r.Groups[0], Resource: r.Resources[0], Verbs: r.Verbs}.String())
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("the Role has the rules\n%s\nand the provider needs\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// TestValues has what is wrong be refused with a word that leads to it, and files arrive as they are.
func TestValues(t *testing.T) {
	for values, want := range map[string]string{
		"replica: 3":                     "replica",
		"replicas: many":                 "/replicas",
		"pods: {kinds: [vm]}":            "/pods/kinds",
		"pods: {namespaces: [hostler]}":  "controllers' own",
		"metrics: {monitor: always}":     "metrics.secret",
		"log: {level: loud}":             "/log/level",
		"files: {../etc/passwd: x}":      "../etc/passwd",
		"files: {hostler.conf: x}":       "hostler.conf",
		"files: {sources/a__b/c: x}":     "a path with __",
		"tls: {issuer: {kind: Nothing}}": "/tls/issuer/kind",
		"drain: -1":                      "/drain",
	} {
		if text, err := rendered(t, "hostler", values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v %s", values, want, err, text)
		}
	}
	files := map[string]string{
		"sources/web/source.conf":      "type = fake\n\n  # four {{ braces }} & <angles>\n[fake]\ncreate-time = 1s\n",
		"sources/web/provision.d/10-a": "#!/bin/sh\n\techo \"x: y\"\n",
		"bundles/tools/bundle.conf":    "   first line with spaces\n",
	}
	values, err := yaml.Marshal(map[string]any{"files": files, "config": "[defaults]\nsource = web\n"})
	if err != nil {
		t.Fatal(err)
	}
	text := mustRender(t, "hostler", string(values))
	for _, o := range objects(t, text) {
		if o.Kind != "ConfigMap" {
			continue
		}
		for path, want := range files {
			if got := o.Data[strings.ReplaceAll(path, "/", "__")]; got != want {
				t.Errorf("%s came as %q", path, got)
			}
		}
		if got := o.Data["hostler.conf"]; !strings.HasSuffix(got, "\n\n[defaults]\nsource = web\n") {
			t.Errorf("hostler.conf is %q", got)
		}
	}
	if !strings.Contains(text, "path: sources/web/provision.d/10-a, mode: 0555}") || strings.Count(text, "mode: 0555") != 1 {
		t.Error("the hook is not to be executable, or something else is")
	}
	if a, b := mustRender(t, "hostler", "config: a"), mustRender(t, "hostler", "config: b"); annotation(a) == annotation(b) || annotation(a) == "" {
		t.Error("pods are not made anew with another configuration")
	}
}

// annotation is the one that changes with the files.
func annotation(text string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, "hostler-project.github.io/files: ") {
			return line
		}
	}
	return ""
}
