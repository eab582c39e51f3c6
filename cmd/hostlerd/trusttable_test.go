package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/config"
)

// TestTreeKeysDecided has each key of each type of source decided on: may a tree set it unasked? A
// new type or key needs a line in config's table.
func TestTreeKeysDecided(t *testing.T) {
	types := map[string][]string{}
	for _, k := range whole.Kinds {
		if k.Options != nil && !k.External {
			types[k.Name] = config.Keys(k.Options())
		}
	}
	types["pool"] = nil
	for typ, keys := range types {
		all := append(config.TopKeys(whole.Kinds.Kind(typ)), keys...)
		for _, key := range all {
			if key == "type" {
				continue
			}
			d, ok := config.RuleOn(whole.Kinds.Kind(typ), key)
			if !ok || d.Why == "" {
				t.Errorf("type %s: nobody has decided whether a tree may set %s: see config's table of decisions", typ, key)
			}
		}
	}
	for _, d := range config.Decisions(whole.Kinds) {
		keys, ok := types[d.Type]
		known := d.Key == "*"
		for _, key := range append(config.TopKeys(whole.Kinds.Kind(d.Type)), keys...) {
			known = known || strings.ReplaceAll(key, "_", "-") == strings.ReplaceAll(d.Key, "_", "-")
		}
		if !ok && d.Type != "*" || !known {
			t.Errorf("it is decided on %s of type %s, and there is no such key", d.Key, d.Type)
		}
	}
}

// TestTrustTable holds docs/trust.md and the table together.
func TestTrustTable(t *testing.T) {
	var want strings.Builder
	for _, d := range config.Decisions(whole.Kinds) {
		free, key := "no", "`"+d.Key+"`"
		switch {
		case d.Key == "*":
			key = "any"
		case d.Free && d.Values != "":
			free = d.Values
		case d.Free:
			free = "yes"
		}
		if d.Inert {
			free += "; may change"
		}
		typ := "`" + d.Type + "`"
		if d.Type == "*" {
			typ = "any"
		}
		fmt.Fprintf(&want, "| %s | %s | %s | %s |\n", typ, key, free, d.Why)
	}
	data, err := os.ReadFile("../../docs/trust.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, got, _ := strings.Cut(string(data), "| type | key | unasked | why |\n|---|---|---|---|\n"); got != want.String() {
		t.Errorf("docs/trust.md has another table than config. It is\n%s", want.String())
	}
}
