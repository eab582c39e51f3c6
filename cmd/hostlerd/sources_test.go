package main

import (
	"os"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/config"
)

// TestSourcesAreDocumented looks for the keys of each type in docs/sources.md.
func TestSourcesAreDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/sources.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, s := range strings.Split(string(data), "\n## ")[1:] {
		name, text, _ := strings.Cut(s, "\n")
		sections[name] = text
	}
	for _, k := range whole.Kinds {
		if k.Options == nil || k.External {
			continue
		}
		name, keys := k.Name, config.Keys(k.Options())
		text, ok := sections[name]
		if !ok {
			t.Errorf("docs/sources.md has no section for type %s", name)
		}
		for _, key := range keys {
			if !strings.Contains(text, "`"+key+"`") {
				t.Errorf("docs/sources.md does not say what %s is for type %s", key, name)
			}
		}
	}
}
