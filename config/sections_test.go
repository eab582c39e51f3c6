package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSectionsOfATree has each section that there is wait in a tree's hostler.conf, with a key and
// without, and each key of [defaults] decided on.
func TestSectionsOfATree(t *testing.T) {
	var text strings.Builder
	names := map[string]bool{}
	for name := range sections {
		if name != "defaults" {
			names[name] = true
		}
	}
	for _, kind := range kinds {
		names[kind+" x"] = true
	}
	for name := range names {
		text.WriteString("[" + name + "]\nkey = x\n")
	}
	home, dir := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, ".hostler", "hostler.conf")
	if err := os.Mkdir(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	opt := LoadOptions{Dir: dir, Home: home, System: home, Env: func(string) string { return "" }}
	for _, said := range []string{text.String(), strings.ReplaceAll(text.String(), "key = x\n", "")} {
		if err := os.WriteFile(file, []byte(said), 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := Load(opt)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Sections) > 0 || len(c.NeedsTrust()) != 1 || len(c.NeedsTrust()[0].Items) != len(names) {
			t.Errorf("these count: %v; these wait: %+v", c.Sections, c.NeedsTrust())
		}
	}
	decided := map[string]string{
		"wait":   "it only says how long a command waits",
		"source": "it leads elsewhere, and waits: TestDefaultSourceOfATree",
	}
	for _, key := range sections["defaults"] {
		if decided[key] == "" {
			t.Errorf("nobody has decided whether a tree may set %s of [defaults]", key)
		}
	}
}
