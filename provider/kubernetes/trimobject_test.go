package kubernetes

import (
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// full returns a value as the API would have it, with all that its type has in it.
func full(typ reflect.Type) any {
	switch {
	case typ == reflect.TypeFor[metav1.Time]():
		return "2026-11-22T12:00:00Z"
	case typ.Kind() == reflect.Pointer:
		return full(typ.Elem())
	case typ.Kind() == reflect.Slice:
		return []any{full(typ.Elem())}
	case typ.Kind() == reflect.Map:
		return map[string]any{labelInstallation: "here", noteInstance: "web-1", noteSource: "web", "theirs": strings.Repeat("x", 100)}
	case typ.Kind() == reflect.Struct:
		out := map[string]any{"theirs": "much"}
		for i := range typ.NumField() {
			f := typ.Field(i)
			out[f.Tag.Get("json")] = full(f.Type)
		}
		return out
	case typ.Kind() == reflect.Bool:
		return true
	case typ.Kind() == reflect.Int64:
		return int64(3)
	}
	return "some " + typ.Kind().String()
}

// TestSlim has nothing be lost that is read of an object, and the rest go.
func TestSlim(t *testing.T) {
	object := func() *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: full(reflect.TypeFor[told]()).(map[string]any)}
	}
	want, err := readPod(object())
	if err != nil {
		t.Fatal(err)
	}
	lean := object()
	if _, err := trimObject(lean); err != nil {
		t.Fatal(err)
	}
	got, err := readPod(lean)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("of a lean one is read %+v, want %+v: %v", got, want, err)
	}
	for _, of := range []map[string]any{
		lean.Object, trimPart(lean.Object, "metadata"), trimPart(lean.Object, "spec"), trimPart(lean.Object, "status"),
		trimPart(trimPart(lean.Object, "metadata"), "annotations"),
	} {
		if len(of) == 0 || of["theirs"] != nil {
			t.Errorf("it is left %v", of)
		}
	}
}
