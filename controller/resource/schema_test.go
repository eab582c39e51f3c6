package resource_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/hostler-project/hostler/controller/resource"
)

// kindFiles are where the kinds are defined.
const kindFiles = "../../packaging/helm/hostler/crds"

// fieldsOf are the fields of a type of Go, as a schema has them, with no more than what both tell.
func fieldsOf(of reflect.Type) map[string]any {
	switch {
	case of.Kind() == reflect.Pointer:
		return fieldsOf(of.Elem())
	case of.Kind() == reflect.String, of == reflect.TypeFor[metav1.Time](), of == reflect.TypeFor[[]byte]():
		return map[string]any{"type": "string"}
	case of.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case of.Kind() == reflect.Int, of.Kind() == reflect.Int64:
		return map[string]any{"type": "integer"}
	case of.Kind() == reflect.Float64:
		return map[string]any{"type": "number"}
	case of.Kind() == reflect.Interface: // whatever is there
		return map[string]any{}
	case of.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": fieldsOf(of.Elem())}
	case of.Kind() == reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": fieldsOf(of.Elem())}
	}
	all := map[string]any{}
	out := map[string]any{"type": "object", "properties": all}
	var required []string
	for f := range of.Fields() {
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		all[name] = fieldsOf(f.Type)
		if !strings.Contains(rest, "omitempty") {
			required = append(required, name)
		}
	}
	if required != nil {
		slices.Sort(required)
		out["required"] = fmt.Sprint(required)
	}
	return out
}

// told is the same of a schema.
func told(schema any) any {
	out := map[string]any{}
	for key, value := range schema.(map[string]any) {
		switch key {
		case "type":
			out[key] = value
		case "items", "additionalProperties":
			out[key] = told(value)
		case "properties":
			all := map[string]any{}
			for name, one := range value.(map[string]any) {
				all[name] = told(one)
			}
			out[key] = all
		case "required":
			var names []string
			for _, name := range value.([]any) {
				names = append(names, name.(string))
			}
			slices.Sort(names)
			out[key] = fmt.Sprint(names)
		}
	}
	return out
}

// TestDefinitions holds the kinds and the types of Go to each other: each field is there, of its
// type, and no other; and those of sources, bundles and projects are the same.
func TestDefinitions(t *testing.T) {
	lease, thing := resource.Lease{}, resource.Thing{}
	same := map[string]any{}
	for name, types := range map[string][2]any{
		"leases": {lease.Spec, lease.Status}, "sources": {thing.Spec, thing.Status},
		"bundles": {thing.Spec, thing.Status}, "projects": {thing.Spec, thing.Status},
	} {
		text, err := os.ReadFile(filepath.Join(kindFiles, name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			Metadata struct{ Name string }
			Spec     struct {
				Group    string
				Versions []struct {
					Name    string
					Columns []struct{ JSONPath, Type string } `json:"additionalPrinterColumns"`
					Schema  struct {
						OpenAPIV3Schema struct{ Properties map[string]any }
					}
				}
			}
		}
		if err := yaml.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		if v := d.Spec.Versions; d.Metadata.Name != name+"."+resource.Group || d.Spec.Group != resource.Group ||
			len(v) != 1 || v[0].Name != resource.Version {
			t.Fatalf("%s.yaml defines %+v", name, d)
		}
		for _, c := range d.Spec.Versions[0].Columns {
			// kubectl prints an age, and of a time to come `<invalid>`
			if c.Type == "date" && c.JSONPath != ".metadata.creationTimestamp" {
				t.Errorf("%s: the column %s is a date", name, c.JSONPath)
			}
		}
		all := d.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties
		for i, what := range []string{"spec", "status"} {
			if got, want := told(all[what]), fieldsOf(reflect.TypeOf(types[i])); !reflect.DeepEqual(got, any(want)) {
				t.Errorf("the %s of %s is\n%v\nand in Go\n%v", what, name, got, want)
			}
			if was := same[what]; was != nil && name != "leases" && !reflect.DeepEqual(was, all[what]) {
				t.Errorf("the %s of %s is another than that of the other kinds", what, name)
			} else if name != "leases" {
				same[what] = all[what]
			}
		}
	}
}

// TestSchemas has the API server refuse what cannot be meant.
func TestSchemas(t *testing.T) {
	t.Parallel()
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
		if out, err := s.kubectl(
			`{"apiVersion":"hostler-project.github.io/v1alpha1","kind":"Lease","metadata":{"name":"bad","namespace":"schemas"},"spec":`+c.spec+`}`,
			"create", "-f", "-",
		); err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: err = %v: out = %s; want an error and out with c.want", c.what, err, out)
		}
	}
	for want, spec := range map[string]string{
		"spec.conf: Invalid": `{"conf":"type = fake"}`, "spec.files[0].path: Required": `{"files":[{"text":""}]}`,
		"spec.files[0].mode": `{"files":[{"path":"a","mode":"7"}]}`,
	} {
		if out, err := s.kubectl(
			`{"apiVersion":"hostler-project.github.io/v1alpha1","kind":"Source","metadata":{"name":"bad","namespace":"schemas"},"spec":`+spec+`}`,
			"create", "-f", "-",
		); err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: err = %v: out = %s; want an error and out with want", spec, err, out)
		}
	}
	if out, err := s.kubectl(
		"", "patch", "hl", "one", "-n", "schemas", "--type=merge", "-p", `{"spec":{"source":"other"}}`,
	); err == nil || !strings.Contains(out, "does not change") {
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
