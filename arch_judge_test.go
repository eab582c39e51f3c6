package hostler_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestJudge breaks each law once in a tree of its own.
func TestJudge(t *testing.T) {
	const law = "a:\nb: a\nlib/...: a\nlib/own: b\ncmd/...: *\n"
	imports := func(pkg, path string) string {
		return "// Package " + pkg + " is a room.\npackage " + pkg + "\n\nimport _ \"" + module + "/" + path + "\"\n"
	}
	for _, test := range []struct {
		name, law string
		files     map[string]string
		want      string // in the one complaint; "": none
	}{
		{
			"good", law,
			map[string]string{
				"a/a.go": "// Package a is a room.\npackage a\n", "b/b.go": imports("b", "a"),
				"cmd/x/x.go": imports("x", "b"),
			},
			"",
		},
		{"pattern", law, map[string]string{"lib/y/y.go": imports("y", "a"), "lib/own/own.go": imports("own", "b")}, ""},
		{"own line wins", law, map[string]string{"lib/own/own.go": imports("own", "a")}, "lib/own may not import a"},
		{"upward", law, map[string]string{"a/a.go": imports("a", "b")}, "a may not import b"},
		{"test files may", law, map[string]string{"a/a_test.go": imports("a", "b")}, ""},
		{"no line", law, map[string]string{"c/c.go": "// Package c is a room.\npackage c\n"}, "c: no line in IMPORTS"},
		{"no comment", law, map[string]string{"a/a.go": "package a\n"}, "a: no package comment"},
		{"long", law, map[string]string{"a/a_test.go": "package a\n" + strings.Repeat("// x\n", maxLines)}, "601 lines"},
		{
			"fat", law,
			map[string]string{
				"a/a.go": "// Package a is a room.\npackage a\n\n// I is.\ntype I interface{ A(); B(); C(); D(); E(); F(); G(); H() }\n",
			},
			"I has 8",
		},
		{
			"embedded", law,
			map[string]string{
				"a/a.go": "// Package a is a room.\npackage a\n\n// I is.\ntype I interface{ A(); B(); C(); D(); E(); F(); G(); error }\n",
			},
			"",
		},
		{"drawer", law, map[string]string{"a/util_linux.go": "// Package a is a room.\npackage a\n"}, "drawer"},
		{"drawer package", law, map[string]string{"a/a.go": "// Package common is a room.\npackage common\n"}, "drawer"},
		{
			"early pattern", law,
			map[string]string{"a/a.go": "// Package a is a room.\npackage a\n\nvar x = regexp.MustCompile(`x`)\n"},
			"compiled at every start",
		},
		{
			"late pattern", law,
			map[string]string{
				"a/a.go": "// Package a is a room.\npackage a\n\nvar x = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`x`) })\n",
			},
			"",
		},
		{"circle", "a: b\nb: lib/...\nlib/...: a\n", nil, "a circle: a > b > lib/... > a"},
		{"other module", law, map[string]string{"t/go.mod": "module t\n", "t/t.go": "package t\n"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			write := func(name, text string) {
				file := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			write("IMPORTS", test.law)
			for name, text := range test.files {
				write(name, text)
			}
			got := judge(root)
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)) {
				t.Errorf("complaints %q, want %q", got, test.want)
			}
		})
	}
}
