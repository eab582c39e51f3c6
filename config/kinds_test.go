package config_test

import (
	"fmt"
	"reflect"

	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/catalog"
)

// table has the kinds of those names, with these keys in place of their own.
func table(keys map[string][]string) (out catalog.Table) {
	all := append(host.Kinds(), clouds.Kinds()...)
	for name, of := range keys {
		k := catalog.Kind{Name: name}
		if known, ok := all.Find(name); ok {
			k = *known
		}
		k.Options = func() any { return section(of) }
		out = append(out, &k)
	}
	pool, _ := all.Find("pool")
	return append(out, pool)
}

// section is a struct with these keys; "*" stands for any.
func section(keys []string) any {
	var fields []reflect.StructField
	for n, key := range keys {
		f := reflect.StructField{Name: fmt.Sprintf("F%d", n), Type: reflect.TypeFor[string](), Tag: reflect.StructTag(`conf:"` + key + `"`)}
		if key == "*" {
			f.Type, f.Tag = reflect.TypeFor[map[string]string](), `conf:",rest"`
		}
		fields = append(fields, f)
	}
	return reflect.New(reflect.StructOf(fields)).Interface()
}
