package resource

import (
	"bytes"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Definitions are the kinds as files of YAML, CustomResourceDefinitions, by their names.
func Definitions() map[string][]byte {
	out := map[string][]byte{}
	for _, d := range definitions {
		var text bytes.Buffer
		fmt.Fprintf(&text, "# Made by `make crds` of the package resource. Not to be edited.\n")
		to := yaml.NewEncoder(&text)
		to.SetIndent(2)
		if err := to.Encode(d.manifest()); err != nil {
			panic(err) // it has but texts, numbers and maps
		}
		out[d.plural+".yaml"] = text.Bytes()
	}
	return out
}

// manifest is the kind's CustomResourceDefinition.
func (d *definition) manifest() map[string]any {
	spec, status := schemaOf(reflect.TypeOf(d.spec)), schemaOf(reflect.TypeOf(d.status))
	if d.fixed {
		spec["x-kubernetes-validations"] = []any{map[string]any{"rule": "self == oldSelf", "message": "the spec of a " + d.kind + " does not change: make another object"}}
	}
	var columns []any
	for _, c := range d.columns {
		column := map[string]any{"name": c.name, "type": c.typ, "jsonPath": c.path}
		if c.wide {
			column["priority"] = 1
		}
		columns = append(columns, column)
	}
	return map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": d.plural + "." + Group},
		"spec": map[string]any{
			"group": Group, "scope": "Namespaced",
			"names": map[string]any{"kind": d.kind, "listKind": d.kind + "List", "singular": d.singular, "plural": d.plural, "shortNames": []any{d.short}, "categories": []any{"hostler"}},
			"versions": []any{map[string]any{
				"name": Version, "served": true, "storage": true, "subresources": map[string]any{"status": map[string]any{}}, "additionalPrinterColumns": columns,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{
					"type": "object", "description": d.doc, "required": []any{"spec"},
					"properties": map[string]any{
						"apiVersion": map[string]any{"type": "string"}, "kind": map[string]any{"type": "string"}, "metadata": map[string]any{"type": "object"}, "spec": spec, "status": status,
					},
				}},
			}},
		},
	}
}

// schemaOf is the structural schema of a Go type, by its fields' tags: json, doc, enum, pattern; min and max bound numbers, and the length of texts and maps.
func schemaOf(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[metav1.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return schemaOf(t.Elem())
	case t == reflect.TypeFor[[]byte]():
		return map[string]any{"type": "string", "format": "byte"}
	case t.Kind() == reflect.Interface: // whatever is there
		return map[string]any{"x-kubernetes-preserve-unknown-fields": true}
	case t.Kind() == reflect.String:
		return map[string]any{"type": "string"}
	case t.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case t.Kind() == reflect.Int64:
		return map[string]any{"type": "integer", "format": "int64"}
	case t.Kind() == reflect.Float64:
		return map[string]any{"type": "number"}
	case t.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case t.Kind() == reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case t.Kind() != reflect.Struct:
		panic("no schema for " + t.String()) // a test asks for all of them
	}
	properties := map[string]any{}
	var required []any
	for i := range t.NumField() {
		f := t.Field(i)
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		s := schemaOf(f.Type)
		if !strings.Contains(rest, "omitempty") {
			required = append(required, name)
		}
		if doc := f.Tag.Get("doc"); doc != "" {
			s["description"] = doc
		}
		if enum := f.Tag.Get("enum"); enum != "" {
			var values []any
			for v := range strings.SplitSeq(enum, ",") {
				values = append(values, v)
			}
			s["enum"] = values
		}
		if pattern := f.Tag.Get("pattern"); pattern != "" {
			s["pattern"] = pattern
		}
		for tag, key := range bounds[s["type"].(string)] {
			if text := f.Tag.Get(tag); text != "" {
				n, err := strconv.ParseInt(text, 10, 64)
				if err != nil {
					panic(err) // as above
				}
				s[key] = n
			}
		}
		properties[name] = s
	}
	out := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// bounds are the keywords for the tags min and max, by type.
var bounds = map[string]map[string]string{
	"string": {"min": "minLength", "max": "maxLength"}, "integer": {"min": "minimum", "max": "maximum"}, "number": {"min": "minimum", "max": "maximum"},
	"object": {"min": "minProperties", "max": "maxProperties"},
}

// Rule is a rule of a Role: what may be done with which things. Its fields are those of rbac.authorization.k8s.io/v1.
type Rule struct {
	APIGroups []string `json:"apiGroups" yaml:"apiGroups"`
	Resources []string `json:"resources" yaml:"resources"`
	Verbs     []string `json:"verbs" yaml:"verbs"`
}

// Rules are what hostler needs in each namespace whose leases it reads. Secrets it makes, and does not read.
func Rules() []Rule {
	return []Rule{
		{[]string{Group}, []string{"leases"}, []string{"get", "list", "watch", "create", "patch", "delete"}}, // create and delete: those that show leases made otherwise
		{[]string{Group}, []string{"leases/status"}, []string{"patch"}},
		{[]string{""}, []string{"secrets"}, []string{"create"}},
	}
}

// SetRules are what it needs in each namespace whose sources, bundles and projects are applied.
func SetRules() []Rule {
	var out []Rule
	for _, kind := range applied {
		out = append(out, Rule{[]string{Group}, []string{kind + "s"}, []string{"get", "list", "watch"}}, Rule{[]string{Group}, []string{kind + "s/status"}, []string{"patch"}})
	}
	return out
}
