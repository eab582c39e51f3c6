package manifest

import (
	"encoding/json"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Same compares an object at the cluster with the wanted one. API servers leave out empty parts.
func Same(a, b any) bool {
	var x, y any
	for from, to := range map[*any]*any{&a: &x, &b: &y} {
		text, err := json.Marshal(*from)
		if err == nil {
			err = json.Unmarshal(text, to)
		}
		if err != nil {
			return false
		}
	}
	return reflect.DeepEqual(bare(x), bare(y))
}

// bare returns a document without its empty parts.
func bare(v any) any {
	of, ok := v.(map[string]any)
	if !ok {
		return v
	}
	for key, inner := range of {
		switch inner := bare(inner).(type) {
		case map[string]any:
			if len(inner) == 0 && key != "podSelector" {
				delete(of, key)
			}
		case []any:
			if len(inner) == 0 {
				delete(of, key)
			}
		}
	}
	return of
}

// AtLeast reports whether a template has at least so much of a resource.
func AtLeast(has any, want string) bool {
	if has == nil {
		return false
	}
	a, err1 := resource.ParseQuantity(fmt.Sprint(has))
	b, err2 := resource.ParseQuantity(want)
	return err1 == nil && err2 == nil && a.Cmp(b) >= 0
}
