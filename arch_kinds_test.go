package hostler_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The kinds of sources, by their names. An ambiguous name is a word of other things too.
var (
	kinds     = kindDirs()
	ambiguous = strings.Fields("exec fake local ssh")
)

// kindDirs lists the kinds that are no words of other things, each named as its directory.
func kindDirs() (names []string) {
	files, _ := filepath.Glob("provider/*/kind.go")
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		if name != "sshhost" && !slices.Contains(ambiguous, name) {
			names = append(names, name)
		}
	}
	return names
}

// knowsSources are the packages whose values have a kind. Code that imports none of them cannot
// decide by one.
var knowsSources = strings.Fields("api compute compute/inventory config host pool provider provider/catalog")

// kindNames counts the names of kinds in the code of each package that is no kind's own. A name
// counts where the code uses it as a kind: see kindUse. A name that is nothing else counts
// anywhere, but where the code evidently means another thing by it: see otherUse. A constant counts
// at each use, and not where it is declared.
func kindNames(all []*source, c counts) {
	constants := map[string]map[string]bool{} // those that are names of kinds, by package
	for _, s := range all {
		for _, id := range kindConstants(s) {
			if constants[s.dir] == nil {
				constants[s.dir] = map[string]bool{}
			}
			constants[s.dir][id] = true
		}
	}
	for _, s := range all {
		if !s.test {
			c.add("kind-names", s.dir, namesOfKinds(s, constants[s.dir]))
		}
	}
}

// judgesKinds reports whether the law of names holds for a file: not for the kinds' own packages,
// the table in host, suites of tests, and code that knows no source.
func judgesKinds(s *source) bool {
	top, rest, _ := strings.Cut(s.dir, "/")
	kind, _, _ := strings.Cut(rest, "/")
	if top == "provider" && (kind == "sshhost" || slices.Contains(kinds, kind) || slices.Contains(ambiguous, kind)) {
		return false
	}
	knows := slices.ContainsFunc(s.file.Imports, func(i *ast.ImportSpec) bool {
		path, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), module+"/")
		return ours && slices.Contains(knowsSources, path)
	})
	return s.dir != "host" && !strings.HasSuffix(s.dir, "test") && (knows || slices.Contains(knowsSources, s.dir))
}

// kindConstants lists the constants that are names of kinds.
func kindConstants(s *source) (ids []string) {
	for _, decl := range s.file.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok != token.CONST {
			continue
		}
		for _, spec := range d.Specs {
			v := spec.(*ast.ValueSpec)
			for i, value := range v.Values {
				if named(value, kinds) || named(value, ambiguous) {
					ids = append(ids, v.Names[i].Name)
				}
			}
		}
	}
	return ids
}

// namesOfKinds counts the names of kinds in a file.
func namesOfKinds(s *source, constants map[string]bool) int {
	if !judgesKinds(s) {
		return 0
	}
	use := &kindUse{constants: constants, foreign: foreignVariables(s.file), found: map[ast.Expr]bool{}}
	other := map[ast.Expr]bool{}
	ast.Inspect(s.file, func(node ast.Node) bool {
		switch x := node.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.GenDecl:
			return x.Tok != token.CONST
		case *ast.CallExpr:
			for _, e := range otherUse(x) {
				other[e] = true
			}
		case *ast.BasicLit:
			if named(x, kinds) && !other[x] {
				use.found[x] = true
			}
		}
		use.note(node)
		return true
	})
	return len(use.found)
}

// otherUse returns the arguments of a call that are parts of paths, names of options, or headers.
func otherUse(call *ast.CallExpr) []ast.Expr {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	switch x := sel.X.(type) {
	case *ast.Ident:
		if (x.Name == "filepath" || x.Name == "path") && sel.Sel.Name == "Join" {
			return call.Args
		}
	case *ast.CallExpr:
		if from, ok := x.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Flags", "PersistentFlags", "Header"}, from.Sel.Name) {
			return call.Args
		}
	}
	return nil
}

// kindUse finds names that are used as kinds: compared with one, given to or taken from a variable
// or field that is named for one, or handed to a function together with one.
type kindUse struct {
	constants map[string]bool
	foreign   map[string]bool // variables with a type of another module
	found     map[ast.Expr]bool
}

func (u *kindUse) note(node ast.Node) {
	switch x := node.(type) {
	case *ast.BinaryExpr:
		u.pair(x.X, x.Y)
		u.pair(x.Y, x.X)
	case *ast.SwitchStmt:
		for _, clause := range x.Body.List {
			for _, e := range clause.(*ast.CaseClause).List {
				u.pair(x.Tag, e)
			}
		}
	case *ast.KeyValueExpr:
		u.pair(x.Key, x.Value)
	case *ast.AssignStmt:
		for i := range min(len(x.Lhs), len(x.Rhs)) {
			u.pair(x.Lhs[i], x.Rhs[i])
		}
	case *ast.IndexExpr:
		u.pair(x.Index, x.X)
	case *ast.CallExpr:
		if sel, ok := x.Fun.(*ast.SelectorExpr); ok && len(x.Args) == 1 {
			u.pair(sel.Sel, x.Args[0]) // kinds.Kind("local")
		}
		for _, of := range x.Args {
			for _, e := range x.Args {
				u.pair(of, e)
			}
		}
	}
}

// pair counts the names in e if the other expression is a kind.
func (u *kindUse) pair(of, e ast.Expr) {
	if of == nil || !u.isKind(of) {
		return
	}
	names := []ast.Expr{e}
	if list, ok := e.(*ast.CompositeLit); ok {
		for _, one := range list.Elts {
			if pair, ok := one.(*ast.KeyValueExpr); ok {
				one = pair.Key
			}
			names = append(names, one)
		}
	}
	for _, e := range names {
		id, isName := e.(*ast.Ident)
		if isName && u.constants[id.Name] || named(e, kinds) || named(e, ambiguous) {
			u.found[e] = true
		}
	}
}

// isKind reports whether an expression is named for a kind.
func (u *kindUse) isKind(e ast.Expr) bool {
	switch x := e.(type) {
	case *ast.Ident:
		return slices.Contains([]string{"Type", "Kind", "typ", "kind"}, x.Name)
	case *ast.SelectorExpr:
		if of, ok := x.X.(*ast.Ident); ok && u.foreign[of.Name] {
			return false
		}
		return u.isKind(x.Sel)
	}
	return false
}

// named reports whether an expression is a text that is one of names.
func named(e ast.Expr, names []string) bool {
	text, ok := literal(e)
	return ok && slices.Contains(names, text)
}

// foreignVariables are the parameters of a file's functions whose type is of another module.
func foreignVariables(f *ast.File) map[string]bool {
	ours, out := map[string]bool{}, map[string]bool{}
	for _, i := range f.Imports {
		if path, ok := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), module+"/"); ok {
			name := path[strings.LastIndex(path, "/")+1:]
			if i.Name != nil {
				name = i.Name.Name
			}
			ours[name] = true
		}
	}
	known := map[string]bool{}
	ast.Inspect(f, func(node ast.Node) bool {
		field, ok := node.(*ast.Field)
		if !ok {
			return true
		}
		of := field.Type
		if star, ok := of.(*ast.StarExpr); ok {
			of = star.X
		}
		pkg := ""
		if sel, ok := of.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok {
				pkg = id.Name
			}
		}
		for _, id := range field.Names {
			if pkg != "" && !ours[pkg] {
				out[id.Name] = true
			} else {
				known[id.Name] = true // somewhere in this file the name means something else
			}
		}
		return true
	})
	for name := range known {
		delete(out, name)
	}
	return out
}

// TestKindNames plants names of kinds and other words, and counts.
func TestKindNames(t *testing.T) {
	const head = "package a\n\nimport (\n\t\"" + module + "/config\"\n\t\"x/ssh\"\n)\n\n"
	for planted, want := range map[string]int{
		"func f(s *config.Source) bool { return s.Type == `local` || `ssh` != s.Type }":                        2,
		"func f(typ string) bool { return typ == `fake` }":                                                     1,
		"func f(s *config.Source) { switch s.Type { case `exec`, `vm`: }; switch s.Name { case `exec`: } }":    2,
		"var why = map[string]string{`vm`: `it has disks`, `ssh`: `it is elsewhere`}; var w = why[`local`]":    1,
		"func f(typ string) string { return map[string]string{`ssh`: `far`, `local`: `here`}[typ] }":           2,
		"func f(s *config.Source) bool { return slices.Contains([]string{`ssh`, `vm`, `x`}, s.Type) }":         2,
		"func f(t config.Table) { t.Kind(`local`); t.Find(`ec2`); t.Find(`x`) }":                               2,
		"func f() string { return `sandbox` }":                                                                 1,
		"var s = config.Source{Type: `ssh`, Name: `local`}":                                                    1,
		"func f(s *config.Source) { s.Type = `fake` }":                                                         1,
		"const name = `sandbox`; func f(s *config.Source) bool { return s.Type == name || s.Name == name }":    1,
		"const ironic = `ironic`; var services = []string{ironic, `nova`}":                                     0,
		"func f(r *ssh.Request) bool { return r.Type == `exec` }":                                              0,
		"func f(r *ssh.Request, s *config.Source) bool { return r.Type == s.Type || s.Type == `exec` }":        1,
		"func f() { filepath.Join(`x`, `kubernetes`); c.Flags().Lookup(`sandbox`); w.Header().Set(`vm`, ``) }": 0,
		"func f() { w.Set(`vm`, ``); g(`sandbox`) }":                                                           2,
	} {
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, "a.go", head+planted+"\n", parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for dir, want := range map[string]int{
			"a": want, "host": 0, "provider/vm/disk": 0, "provider/guard": want, "store/storetest": 0,
		} {
			got := counts{}
			kindNames([]*source{{dir: dir, file: f, set: set}}, got)
			if got["kind-names"][dir] != want {
				t.Errorf("in %s, %s: got %d names of kinds, want %d", dir, planted, got["kind-names"][dir], want)
			}
		}
	}
	f, err := parser.ParseFile(token.NewFileSet(), "a.go", "package a\n\nvar policy = `sandbox`\n", parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	if len(kinds) < 8 {
		t.Errorf("got the kinds %q, want at least 8", kinds)
	}
	got := counts{}
	if kindNames([]*source{{dir: "a", file: f}}, got); got["kind-names"]["a"] != 0 {
		t.Errorf("in code that knows no source: got %d names of kinds, want 0", got["kind-names"]["a"])
	}
}
