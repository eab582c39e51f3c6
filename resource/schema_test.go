package resource_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/resource"
)

// TestDefinitions holds the files for the chart to the kinds.
func TestDefinitions(t *testing.T) {
	const dir = "../packaging/helm/hostler/crds"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := resource.Definitions()
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(text, want[e.Name()]) {
			t.Errorf("%s/%s is not as the kinds are: make crds", dir, e.Name())
		}
		delete(want, e.Name())
	}
	for name := range want {
		t.Errorf("%s/%s is missing: make crds", dir, name)
	}
}

// TestSchemas has the API server refuse what cannot be meant.
func TestSchemas(t *testing.T) {
	lab.Config(t)
	kinds(t)
	s := newSite(t, "schemas")
	s.lease("one", `{"source":"web"}`)
	for _, c := range []struct{ what, spec, want string }{
		{"no source", `{}`, "spec.source: Required"},
		{"an empty source", `{"source":""}`, "spec.source"},
		{"a key that there is not", `{"source":"web","core":1}`, `unknown field "spec.core"`},
		{"a priority beyond all", `{"source":"web","priority":101}`, "spec.priority"},
		{"less than nothing", `{"source":"web","cores":-1}`, "spec.cores"},
		{"an odd time", `{"source":"web","ttl":"soon"}`, "spec.ttl"},
		{"an odd size", `{"source":"web","memory":"much"}`, "spec.memory"},
		{"an odd name", `{"source":"web","name":"-x"}`, "spec.name"},
	} {
		if out, err := s.kubectl(`{"apiVersion":"hostler-project.github.io/v1alpha1","kind":"Lease","metadata":{"name":"bad","namespace":"schemas"},"spec":`+c.spec+`}`, "create", "-f", "-"); err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v: %s", c.what, err, out)
		}
	}
	for want, spec := range map[string]string{"spec.conf: Invalid": `{"conf":"type = fake"}`, "spec.files[0].path: Required": `{"files":[{"text":""}]}`, "spec.files[0].mode": `{"files":[{"path":"a","mode":"7"}]}`} {
		if out, err := s.kubectl(`{"apiVersion":"hostler-project.github.io/v1alpha1","kind":"Source","metadata":{"name":"bad","namespace":"schemas"},"spec":`+spec+`}`, "create", "-f", "-"); err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v: %s", spec, err, out)
		}
	}
	if out, err := s.kubectl("", "patch", "hl", "one", "-n", "schemas", "--type=merge", "-p", `{"spec":{"source":"other"}}`); err == nil || !strings.Contains(out, "does not change") {
		t.Errorf("the spec changes: %v: %s", err, out)
	}
}

// kubectl is for what may fail.
func (s *site) kubectl(input string, args ...string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		s.t.Fatal(err)
	}
	if dir := os.Getenv("HOSTLER_KUBE_CACHE"); dir != "" {
		cache = dir
	} else {
		cache = filepath.Join(cache, "hostler-kube")
	}
	cmd := exec.Command(filepath.Join(cache, "bin", "kubebox"), append([]string{"kubectl"}, args...)...)
	cmd.Env, cmd.Stdin = append(os.Environ(), "KUBECONFIG="+s.kubeconfig), strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
