package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/config"
)

// Whatever the files say: no panic, one line of error with the file's name, nothing read from
// outside of the roots, no trust by itself.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{
		"", "type = fake", "[DEFAULT]\ntype: pool\nsources = a,\n  b\n", "type: pool\nsources: [a, *b]\n",
		"type: ssh\nssh_host: h\n", "{type: fake, reserve: 1}",
		"type = `x\ny`", "type = \"\"\"x", "[a]\n[b\n", "- = x", "\ufeff[DEFAULT]", "&a [*a]", "? a\n: b", "<<: {a: b}",
		"type: exec\nimage: command:x 'y\n", "\t=\n", "a\r=b",
		"type = chroot\n[chroot]\nbase = ../../../../secret\n", "%YAML 1.2\n---\na: !!binary x\n",
		"type=fake\nimage=a ; b\nbundles=x", "sources:\n- - x\n", "key\\\n=1",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	home, dir := f.TempDir(), f.TempDir()
	const canary = "CANARY-OUTSIDE"
	os.WriteFile(filepath.Join(dir, "secret"), []byte(canary), 0o644)
	opt := config.LoadOptions{
		Dir: filepath.Join(dir, "tree"), Home: home, Env: func(string) string { return "" },
		System: filepath.Join(home, "etc"), Kinds: table(typeKeys),
	}
	ours := filepath.Join(opt.Dir, ".hostler/sources/s")
	theirs := filepath.Join(opt.Dir, ".crcache/sources/t")
	os.MkdirAll(ours, 0o755)
	os.MkdirAll(theirs, 0o755)
	os.Symlink(filepath.Join(dir, "secret"), filepath.Join(opt.Dir, ".hostler/sources/out"))
	f.Fuzz(func(t *testing.T, text string, compat bool) {
		opt := opt
		opt.Compat = compat
		for _, d := range []string{ours, theirs} {
			if err := os.WriteFile(filepath.Join(d, "source.conf"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		os.WriteFile(filepath.Join(opt.Dir, ".hostler/hostler.conf"), []byte(text), 0o644)
		c, err := config.Load(opt)
		if c == nil {
			t.Fatal(err)
		}
		for _, s := range c.Sources {
			if s.Err == nil && s.Type == "" {
				t.Errorf("%s is good and has no type", s.Name)
			}
			if s.Err != nil && (strings.Contains(s.Err.Error(), canary) || !strings.Contains(s.Err.Error(), opt.Dir)) {
				t.Errorf("error %q", s.Err)
			}
			if e, ok := errors.AsType[*config.Error](s.Err); s.Err != nil && (!ok || e.Line > strings.Count(text, "\n")+1) {
				t.Errorf("s.Err = %#v; want no error or ok and e.Line <= strings.Count(text, \"\\n\")+1", s.Err)
			}
			if s.Err == nil && s.Type == "exec" {
				t.Error("a tree's program is trusted")
			}
			for k, v := range s.Values {
				if v.Line < 1 || v.Line > strings.Count(text, "\n")+1 || strings.Contains(v.Text, canary) {
					t.Errorf(
						"k = %s = v = %+v"+
							"; want v.Line >= 1 and v.Line <= strings.Count(text, \"\\n\")+1 and v.Text without canary",
						k, v,
					)
				}
			}
		}
		again, _ := config.Load(opt)
		for i, s := range c.Sources {
			if again.Sources[i].Digest != s.Digest {
				t.Errorf("%s has two digests", s.Name)
			}
		}
	})
}
