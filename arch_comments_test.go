package hostler_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestCommentsNameWhatIs: where a comment names PACKAGE.NAME of the tree, there is such a name.
func TestCommentsNameWhatIs(t *testing.T) {
	for _, s := range staleNames(sources(t, ".")) {
		t.Error(s)
	}
}

// TestStaleNamesAreSeen shows that a name which went is found.
func TestStaleNamesAreSeen(t *testing.T) {
	for text, want := range map[string]int{
		"// See a.Known, a.Method, a.Field and a.Knowns.": 0,
		"// See a.Gone.":  1,
		"// See b.Gone.":  0, // no package of the tree
		"// At x/a.Gone.": 0, // a path
	} {
		set := token.NewFileSet()
		text := "package a\n\n" + text + "\ntype Known struct{ Field int }\n\nfunc (Known) Method() {}\n"
		f, err := parser.ParseFile(set, "a.go", text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := staleNames([]*source{{dir: "a", text: []byte(text), file: f, set: set}}); len(got) != want {
			t.Errorf("%s: got %q, want %d", text, got, want)
		}
	}
}

var qualified = regexp.MustCompile(`(?:^|[^\w./])([a-z]\w*)\.([A-Z]\w+)`)

// staleNames returns where comments name what packages of the tree do not have. A package goes by
// its name; one from elsewhere that a file imports is meant there.
func staleNames(all []*source) (stale []string) {
	has := map[string]map[string]bool{}
	for _, s := range all {
		of := strings.TrimSuffix(s.file.Name.Name, "_test")
		if has[of] == nil {
			has[of] = map[string]bool{}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch x := n.(type) {
			case *ast.FuncDecl:
				has[of][x.Name.Name] = true
			case *ast.TypeSpec:
				has[of][x.Name.Name] = true
			case *ast.ValueSpec:
				for _, id := range x.Names {
					has[of][id.Name] = true
				}
			case *ast.Field:
				for _, id := range x.Names {
					has[of][id.Name] = true
				}
			}
			return true
		})
	}
	for _, s := range all {
		foreign := func(of string) bool {
			return slices.ContainsFunc(s.file.Imports, func(i *ast.ImportSpec) bool {
				to := strings.Trim(i.Path.Value, `"`)
				return path.Base(to) == of && !strings.HasPrefix(to, module)
			})
		}
		for _, group := range s.file.Comments {
			for _, m := range qualified.FindAllStringSubmatch(group.Text(), -1) {
				known := has[m[1]]
				if known != nil && !known[m[2]] && !known[strings.TrimSuffix(m[2], "s")] && !foreign(m[1]) {
					stale = append(stale, s.set.Position(group.Pos()).String()+": there is no "+m[1]+"."+m[2])
				}
			}
		}
	}
	return stale
}
