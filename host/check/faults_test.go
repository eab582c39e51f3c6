package check_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/check"
)

// TestFaultOf: the keys of a sandbox are judged with the user's home, which ~/ stands for and which
// is never shown as a whole.
func TestFaultOf(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	for name, test := range map[string]struct{ show, fault string }{
		"no image":        {"/srv\nimage = " + home + "/none.tar", "image = " + home + "/none.tar: no such file"},
		"below the home":  {"~/sub, /srv", ""},
		"the whole home":  {"~/", "whole home"},
		"hostler's state": {"~/.config/hostler/sources", "hostler's own"},
		"relative":        {"sub", "neither an absolute path"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "sources", "box", "source.conf")
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatalf("MkdirAll: %v", err)
			}
			text := "type = sandbox\n[sandbox]\nshow = " + test.show + "\n"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatalf("WriteFile: %v", err)
			}
			cfg, err := config.Load(config.LoadOptions{Dir: dir, ConfigDir: dir, Home: home, Kinds: host.Kinds()})
			if err != nil {
				t.Fatalf("Load: %v; want no error", err)
			}
			source, err := cfg.Source("box")
			if err != nil {
				t.Fatalf("Source: %v; want no error", err)
			}
			err = check.FaultOf(source)
			if got := err == nil; got != (test.fault == "") || err != nil && !strings.Contains(err.Error(), test.fault) {
				t.Errorf("FaultOf with show = %s: err = %v; want %q in it", test.show, err, test.fault)
			}
		})
	}
}
