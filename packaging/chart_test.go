package packaging_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/kubernetes"
)

var lab = &computetest.Kubernetes{Port: 19043}

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// helm is Helm's engine.
func helm(t testing.TB) string { return lab.Program(t, "chart", "-C", "../tools", "./chart") }

const chart = "helm/hostler"

// rendered returns what the chart says with some values, in a namespace.
func rendered(t testing.TB, namespace, values string, more ...string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(helm(t), append(append([]string{"-n", namespace, "-f", file}, more...), chart)...)
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
	RoleRef struct {
		Kind string `json:"kind"`
	} `json:"roleRef"`
	Data map[string]string `json:"data"`
}

func objects(t testing.TB, text string) (out []object) {
	t.Helper()
	for _, doc := range strings.Split("\n"+text, "\n---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(doc+"\n"), &o); err != nil {
			t.Fatalf("%v: doc = %s; want no error", err, doc)
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
	if out, err := exec.Command(helm(t), chart, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: out = %s; want no error", err, out)
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

// TestRoles has each Role be what those who use it say that they need, no more and no less.
func TestRoles(t *testing.T) {
	plain, leases := provided(kubernetes.Options{}), written(t, 1)
	const secrets = `{apiGroups: [""], resources: [secrets], verbs: [create]}`
	blind := slices.DeleteFunc(slices.Clone(leases), func(rule string) bool { return rule == secrets })
	for name, c := range map[string]struct {
		values string
		want   map[string][]string // by kind and namespace
	}{
		"pod": {"", map[string][]string{"Role hostler-pods": plain}},
		"sandbox": {
			"pods: {kinds: [sandbox]}",
			map[string][]string{"Role hostler-pods": provided(kubernetes.Options{Kind: "sandbox"})},
		},
		"claim": {
			"pods: {kinds: [claim]}",
			map[string][]string{"Role hostler-pods": provided(kubernetes.Options{Kind: "claim", WarmPool: "warm"})},
		},
		"force": {
			"pods: {kinds: [sandbox], forceDelete: true}",
			map[string][]string{"Role hostler-pods": provided(kubernetes.Options{Kind: "sandbox", Force: time.Minute})},
		},
		"force claim": {
			"pods: {kinds: [warm-pool], forceDelete: true}",
			map[string][]string{"Role hostler-pods": provided(kubernetes.Options{Kind: "claim", Force: time.Minute})},
		},
		"warm pool": {
			"pods: {kinds: [warm-pool]}",
			map[string][]string{"Role hostler-pods": provided(kubernetes.Options{Kind: "claim"})},
		},
		"open": {"pods: {policies: false}", map[string][]string{"Role hostler-pods": provided(kubernetes.Options{Network: "open"})}},
		"objects": {
			"customResources: {namespaces: [team-a=ci, team-a, team-b=]}",
			map[string][]string{"Role hostler-pods": plain, "Role team-a": leases, "Role team-b": leases},
		},
		"no secrets": {
			"customResources: {namespaces: [team-a], secrets: never}",
			map[string][]string{"Role hostler-pods": plain, "Role team-a": blind},
		},
		"all objects": {
			"customResources: {namespaces: ['*=ci', team-a]}",
			map[string][]string{"Role hostler-pods": plain, "ClusterRole ": blind, "Role team-a": {secrets}},
		},
		"all secrets": {
			"customResources: {namespaces: ['*', team-a], secrets: always}",
			map[string][]string{"Role hostler-pods": plain, "ClusterRole ": leases},
		},
		"none at all": {
			"customResources: {namespaces: ['*', team-a], secrets: never}",
			map[string][]string{"Role hostler-pods": plain, "ClusterRole ": blind},
		},
		"sets": {"customResources: {apply: [conf]}", map[string][]string{"Role hostler-pods": plain, "Role conf": written(t, 2)}},
	} {
		t.Run(name, func(t *testing.T) {
			got, bound := map[string][]string{}, map[string]bool{}
			for _, o := range objects(t, mustRender(t, "hostler", c.values)) {
				where := o.Kind + " " + o.Metadata.Namespace
				if o.RoleRef.Kind != "" {
					bound[o.RoleRef.Kind+" "+o.Metadata.Namespace] = true
				}
				for _, r := range o.Rules {
					if len(r.Groups) != 1 || len(r.Resources) != 1 {
						t.Errorf("the rule %+v of %s/%s", r, where, o.Metadata.Name)
						continue
					}
					got[where] = append(got[where], kubernetes.Grant{Group: r.Groups[0], Resource: r.Resources[0], Verbs: r.Verbs}.String())
				}
				slices.Sort(got[where])
			}
			for where := range c.want {
				if !slices.Equal(got[where], c.want[where]) || !bound[where] {
					t.Errorf(
						"%s is bound: %v, and has the rules\n%s\nand what is needed is\n%s", where, bound[where],
						strings.Join(got[where], "\n"), strings.Join(c.want[where], "\n"),
					)
				}
				delete(got, where)
				delete(bound, where)
			}
			if len(got)+len(bound) > 0 {
				t.Errorf("there are also %v, bound: %v", got, bound)
			}
		})
	}
}

// provided are the rules that sources with such options need.
func provided(o kubernetes.Options) (out []string) {
	for _, g := range kubernetes.Grants(o) {
		out = append(out, g.String())
	}
	slices.Sort(out)
	return out
}

// written are the rules that docs/kubernetes-resources.md has for reading objects: the first of
// them for those that ask for leases, the second for those that are applied.
func written(t *testing.T, nth int) (out []string) {
	t.Helper()
	text, err := os.ReadFile("../docs/kubernetes-resources.md")
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(string(text), "\n    rules:\n")
	if len(all) != 3 {
		t.Fatalf("there are %d lists of rules", len(all)-1)
	}
	list, _, _ := strings.Cut(all[nth], "\n\n")
	var rules []struct{ APIGroups, Resources, Verbs []string }
	if err := yaml.Unmarshal([]byte(list), &rules); err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		for _, resource := range r.Resources {
			out = append(out, kubernetes.Grant{Group: r.APIGroups[0], Resource: resource, Verbs: r.Verbs}.String())
		}
	}
	slices.Sort(out)
	return out
}

// TestValues has what is wrong be refused with a word that leads to it, and files arrive as they
// are.
func TestValues(t *testing.T) {
	for values, want := range map[string]string{
		"replica: 3":                                   "replica",
		"replicas: many":                               "/replicas",
		"pods: {kinds: [vm]}":                          "/pods/kinds",
		"pods: {namespaces: [hostler]}":                "controllers' own",
		"metrics: {monitor: always}":                   "metrics.secret",
		"log: {level: loud}":                           "/log/level",
		"files: {../etc/passwd: x}":                    "../etc/passwd",
		"files: {hostler.conf: x}":                     "hostler.conf",
		"files: {sources/a__b/c: x}":                   "a path with __",
		"tls: {issuer: {kind: Nothing}}":               "/tls/issuer/kind",
		"drain: -1":                                    "/drain",
		"customResources: {namespaces: [Team]}":        "/customResources/namespaces",
		"customResources: {apply: ['*']}":              "/customResources/apply",
		"customResources: {show: -1}":                  "/customResources/show",
		"pods: {namespaces: [kube-system]}":            "the whole cluster",
		"customResources: {namespaces: [kube-system]}": "into the cluster",
		"customResources: {secrets: some}":             "/customResources/secrets",
		"tls: null":                                    "missing property 'tls'",
		"database: {key: null}":                        "missing property 'key'",
		"data: {size: much}":                           "/data/size",
		"ingress: {host: a_b}":                         "/ingress/host",
		"disruption: {minAvailable: 2}":                "none could be taken from its node",
		"disruption: {minAvailable: 51%}":              "none could be taken from its node",
		"disruption: {minAvailable: most}":             "/disruption/minAvailable",
		"disruption: {minAvailable: -1}":               "/disruption/minAvailable",
	} {
		if text, err := rendered(t, "hostler", values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v %s", values, want, err, text)
		}
	}
	for _, good := range []string{"replicas: 3\ndisruption: {minAvailable: 2}",
		"replicas: 3\ndisruption: {minAvailable: 66%}", "disruption: {minAvailable: 50%}",
		"{replicas: 1, disruption: {minAvailable: 1}}", "disruption: {minAvailable: 0}",
		"ingress: {host: '*.example.org'}", "data: {size: 1.5Gi}", "{resources: null, files: null, podLabels: null, affinity: null}"} {
		mustRender(t, "hostler", good)
	}
	const none = "pods: {namespaces: []}"
	for values, token := range map[string]bool{
		"": true, none: false, none + "\ncustomResources: {apply: [conf]}": true,
		none + "\ncustomResources: {namespaces: ['*']}": true, none + "\nserviceAccount: {make: false}": true,
	} {
		if got := strings.Contains(mustRender(t, "hostler", values), "automountServiceAccountToken: true"); got != token {
			t.Errorf("%q: the controllers have a token: %v", values, got)
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
	if a, b := mustRender(t, "hostler", "config: a"), mustRender(t, "hostler", "config: b"); annotation(a) == annotation(b) ||
		annotation(a) == "" {
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
