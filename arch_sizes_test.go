package hostler_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// The law of sizes. What is counted for each, and how much of it there may be.
var limits = []struct {
	law   string
	most  int
	about string
}{
	{"package-lines", 4000, "lines of a package's code, without tests"},
	{"command-lines", 120, "lines of a file of the command line, without tests"},
	{"type-methods", 40, "methods of a type, those of embedded types of its package too"},
	{"interface-methods", 12, "methods of an exported interface, embedded ones too"},
	{"package-names", 60, "exported names of a package"},
	{"struct-fields", 20, "fields of a struct that is no configuration"},
	{"text-decisions", 0, "decisions of a package that rest on a text of a record"},
	{"kind-names", 0, "names of kinds as strings in a package that is no kind's own"},
	{"long-comments", 0, "lines of comments beyond 100 columns, in the tree"},
	{"long-lines", 0, "lines of code beyond 140 columns, in the tree"},
	{"bare-failures", 0, "failures in tests that print values without a word, in the tree"},
	{"long-sleeps", 0, "sleeps of 200 ms or more in tests, with no reason beside them, in the tree"},
	{"unused-names", 100, "exported names that no other package selects or is led to by what it selects, in the tree"},
	{"top-folders", 27, "folders with code at the top of the tree"},
}

const (
	commentColumns = 100
	codeColumns    = 140
)

// TestArchitectureSizes holds the tree to the law of sizes. The file SIZES lists what is beyond it
// today, with how much of it there may be. HOSTLER_SIZES=shrink rewrites the file after a change
// for the better; HOSTLER_SIZES=list with -v lists the unused names.
func TestArchitectureSizes(t *testing.T) {
	got := measure(t, ".")
	allowed := readSizes(t, "SIZES")
	if os.Getenv("HOSTLER_SIZES") == "shrink" {
		shrink(t, "SIZES", got, allowed)
		allowed = readSizes(t, "SIZES")
	}
	worst, count := map[string]int{}, map[string]int{}
	for _, l := range limits {
		for subject, n := range got[l.law] {
			key := l.law + " " + subject
			most, excepted := allowed[key]
			delete(allowed, key)
			worst[l.law] = max(worst[l.law], n)
			if n > l.most {
				count[l.law]++
			}
			switch {
			case n > l.most && !excepted:
				t.Errorf("%s: %s has %d, and %d is the most (%s)", l.law, subject, n, l.most, l.about)
			case n > most && excepted:
				t.Errorf("%s: %s has %d, and SIZES allows it %d: it may only shrink", l.law, subject, n, most)
			case n <= l.most && excepted:
				t.Errorf("SIZES: take out %q: it has %d now, and %d is allowed", key, n, l.most)
			}
		}
		t.Logf("%-18s limit %5d   largest %6d   beyond %3d   %s", l.law, l.most, worst[l.law], count[l.law], l.about)
	}
	for key := range allowed {
		t.Errorf("SIZES: take out %q: there is no such thing", key)
	}
}

// readSizes reads the exceptions: a law, a subject and a number each line.
func readSizes(t *testing.T, file string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) != 3 {
			t.Fatalf("%s: %q is not LAW SUBJECT NUMBER", file, line)
		}
		n, err := strconv.Atoi(words[2])
		if err != nil {
			t.Fatalf("%s: err = %v; want no error", file, err)
		}
		out[words[0]+" "+words[1]] = n
	}
	return out
}

// source is one file of Go, and what it was read from.
type source struct {
	dir  string // of its package, from the top: "." for that
	test bool
	text []byte
	file *ast.File
	set  *token.FileSet
}

// sources reads all files of the module at root.
func sources(t *testing.T, root string) (all []*source) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && foreign(name) {
				return filepath.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(name))
		all = append(all, &source{filepath.ToSlash(rel), strings.HasSuffix(name, "_test.go"), text, f, set})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// counts are numbers by law and subject.
type counts map[string]map[string]int

func (c counts) add(law, subject string, n int) {
	if c[law] == nil {
		c[law] = map[string]int{}
	}
	c[law][subject] += n
}

// measure counts what the law is about.
func measure(t *testing.T, root string) counts {
	t.Helper()
	all, c, tests := sources(t, root), counts{}, map[string][]*source{}
	for _, s := range all {
		comments, code := longLines(s)
		c.add("long-comments", "tree", comments)
		c.add("long-lines", "tree", code)
		if s.test {
			c.add("bare-failures", "tree", bareFailures(s))
			tests[s.dir] = append(tests[s.dir], s)
			continue
		}
		lines := bytes.Count(s.text, []byte("\n"))
		c.add("package-lines", s.dir, lines)
		if s.dir == "cli" || strings.HasPrefix(s.dir, "cli/") {
			c.add("command-lines", path.Join(s.dir, filepath.Base(s.set.Position(s.file.Package).Filename)), lines)
		}
		c.add("text-decisions", s.dir, textDecisions(s))
	}
	for _, of := range tests {
		c.add("long-sleeps", "tree", longSleeps(of))
	}
	tops := map[string]bool{}
	for _, s := range all {
		if top, _, _ := strings.Cut(s.dir, "/"); top != "." {
			tops[top] = true
		}
	}
	c.add("top-folders", "tree", len(tops))
	types(all, c)
	unused := names(all, c)
	if os.Getenv("HOSTLER_SIZES") == "list" {
		t.Logf("unused-names:\n%s", strings.Join(unused, "\n"))
	}
	kindNames(all, c)
	return c
}

// longLines counts the lines of comments and of code that are too long.
func longLines(s *source) (comments, code int) {
	inComment := map[int]bool{}
	for _, g := range s.file.Comments {
		first, last := s.set.Position(g.Pos()), s.set.Position(g.End())
		for n := first.Line; n <= last.Line; n++ {
			inComment[n] = true
		}
	}
	n := 0
	for line := range bytes.Lines(s.text) {
		n++
		line = bytes.TrimRight(line, "\n")
		columns := utf8.RuneCount(line) + 3*bytes.Count(line, []byte("\t"))
		if inComment[n] && columns > commentColumns {
			comments++
		}
		if columns > codeColumns {
			code++
		}
	}
	return comments, code
}

// recordTexts are the fields of records that are for people.
var recordTexts = []string{"Reason", "LastError", "Owner", "Cause", "Note", "Why"}

// noRecords are fields of these names that are no text of a record, by package: why they are not
// counted.
var noRecords = map[string]map[string]string{
	"bundle": {"Owner": "the owner of a file, as chown takes it: USER, USER:GROUP or :GROUP"},
}

// textDecisions counts what looks into a text of a record.
func textDecisions(s *source) (n int) {
	isText := func(e ast.Expr) bool {
		sel, ok := e.(*ast.SelectorExpr)
		return ok && slices.Contains(recordTexts, sel.Sel.Name) && noRecords[s.dir][sel.Sel.Name] == ""
	}
	ast.Inspect(s.file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok || len(call.Args) < 2 || !isText(call.Args[0]) {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "strings" && sel.Sel.Name != "EqualFold" {
				n++
			}
		}
		return true
	})
	return n
}

// shape is what is known of a type.
type shape struct {
	dir, name string
	methods   map[string]bool
	embeds    []string // types of its package, or of others as PACKAGE.NAME
	fields    int
	is        string // struct, interface or ""
}

// types counts methods and fields.
func types(all []*source, c counts) {
	found := map[string]*shape{}
	get := func(dir, name string) *shape {
		key := dir + "." + name
		if found[key] == nil {
			found[key] = &shape{dir: dir, name: name, methods: map[string]bool{}}
		}
		return found[key]
	}
	for _, s := range all {
		if s.test {
			continue
		}
		for _, decl := range s.file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil && len(d.Recv.List) == 1 {
					if name := typeName(d.Recv.List[0].Type); name != "" {
						get(s.dir, name).methods[d.Name.Name] = true
					}
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if typ, ok := spec.(*ast.TypeSpec); ok {
						get(s.dir, typ.Name.Name).read(typ.Type)
					}
				}
			}
		}
	}
	var methods func(t *shape, seen map[*shape]bool) map[string]bool
	methods = func(t *shape, seen map[*shape]bool) map[string]bool {
		out := maps.Clone(t.methods)
		if seen[t] {
			return out
		}
		seen[t] = true
		for _, e := range t.embeds {
			dir, name := t.dir, e
			// a package goes by its last element, and compute is the one whose interfaces others
			// embed
			if pkg, sel, ok := strings.Cut(e, "."); ok {
				dir, name = pkg, sel
			}
			// a struct that has an interface passes on and writes none of its methods
			if other := found[dir+"."+name]; other != nil && (t.is == "interface" || other.is != "interface") {
				maps.Copy(out, methods(other, seen))
			}
		}
		return out
	}
	for _, t := range found {
		n := len(methods(t, map[*shape]bool{}))
		switch {
		case t.is == "interface" && ast.IsExported(t.name):
			c.add("interface-methods", t.dir+"."+t.name, n)
		case t.is != "interface":
			c.add("type-methods", t.dir+"."+t.name, n)
		}
		if lower := strings.ToLower(t.name); t.is == "struct" && !strings.HasSuffix(lower, "options") &&
			!strings.HasSuffix(lower, "config") {
			c.add("struct-fields", t.dir+"."+t.name, t.fields)
		}
	}
}

// read takes what a declaration says of a type.
func (t *shape) read(e ast.Expr) {
	switch x := e.(type) {
	case *ast.StructType:
		t.is = "struct"
		for _, f := range x.Fields.List {
			t.fields += max(1, len(f.Names))
			if len(f.Names) == 0 {
				t.embeds = append(t.embeds, typeName(f.Type))
			}
		}
	case *ast.InterfaceType:
		t.is = "interface"
		for _, f := range x.Methods.List {
			for _, n := range f.Names {
				t.methods[n.Name] = true
			}
			if len(f.Names) == 0 {
				t.embeds = append(t.embeds, typeName(f.Type))
			}
		}
	}
}

// typeName is the name of a type, without pointer and parameters.
func typeName(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.StarExpr:
		return typeName(x.X)
	case *ast.IndexExpr:
		return typeName(x.X)
	case *ast.IndexListExpr:
		return typeName(x.X)
	case *ast.SelectorExpr:
		if pkg, ok := x.X.(*ast.Ident); ok {
			return pkg.Name + "." + x.Sel.Name
		}
	}
	return ""
}

// sizesOf says what is beyond the law, a line each, as SIZES has it.
func sizesOf(got counts) string {
	var out []string
	for _, l := range limits {
		for subject, n := range got[l.law] {
			if n > l.most {
				out = append(out, fmt.Sprintf("%-18s %-60s %d", l.law, subject, n))
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n") + "\n"
}

// shrink lowers the exceptions to what is needed now. It adds none and raises none, so what is new
// beyond the law still fails the test.
func shrink(t *testing.T, file string, got counts, allowed map[string]int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			out.WriteString(line)
		}
	}
	for line := range strings.Lines(sizesOf(got)) {
		words := strings.Fields(line)
		if most, ok := allowed[words[0]+" "+words[1]]; ok {
			n, _ := strconv.Atoi(words[2])
			fmt.Fprintf(&out, "%-18s %-60s %d\n", words[0], words[1], min(n, most))
		}
	}
	if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestSizesAreSeen: each law sees what breaks it in a tree of its own.
func TestSizesAreSeen(t *testing.T) {
	const head = "// Package a is a package.\npackage a\n\n"
	repeat := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format+"\n", i)
		}
		return b.String()
	}
	for law, c := range map[string]struct {
		files   map[string]string
		subject string
		want    int
	}{
		"package-lines":         {map[string]string{"a/a.go": head, "a/b.go": head, "a/a_test.go": head}, "a", 6},
		"command-lines":         {map[string]string{"cli/acmd/a.go": head, "cli/acmd/b.go": head + "const A = 1\n"}, "cli/acmd/b.go", 4},
		"command-lines, ground": {map[string]string{"cli/a.go": head, "cli/a_test.go": head}, "cli/a.go", 3},
		"command-lines, others": {map[string]string{"client/a.go": head}, "client/a.go", 0},
		"type-methods": {map[string]string{
			"a/a.go": head + "type T struct{ *u }\ntype u struct{}\n" + repeat("func (T) A%d() {}", 2) + repeat("func (*u) B%d() {}", 3),
		},
			"a.T", 5},
		"interface-methods": {map[string]string{"a/a.go": head + "type I interface { A(); j }\ntype j interface { B(); C() }\n"}, "a.I", 3},
		"package-names":     {map[string]string{"a/a.go": head + "type T int\nconst C, d = 1, 2\nfunc F() {}\nfunc (T) M() {}\n"}, "a", 3},
		"struct-fields":     {map[string]string{"a/a.go": head + "type t struct { A, b int; error }\n"}, "a.t", 3},
		"text-decisions": {map[string]string{"a/a.go": head + "import \"strings\"\n\nfunc f(i struct{ Reason, Name string }) bool " +
			"{ return strings.HasPrefix(i.Reason, `x`) || strings.HasPrefix(i.Name, `x`) }\n"}, "a", 1},
		"text-decisions, no record": {map[string]string{"bundle/a.go": head + "import \"strings\"\n\n" +
			"func f(i struct{ Owner, Why string }) bool " +
			"{ return strings.HasPrefix(i.Owner, `x`) || strings.HasPrefix(i.Why, `x`) }\n"}, "bundle", 1},
		"long-comments": {
			map[string]string{"a/a.go": head + "// " + strings.Repeat("x", 97) + "\n// " + strings.Repeat("x", 98) + "\n"},
			"tree", 1,
		},
		"long-lines": {map[string]string{"a/a.go": head + "var x = `" + strings.Repeat("x", 140) + "`\n"}, "tree", 1},
		"unused-names": {map[string]string{"a/a.go": head + "const Used, Left = 1, 2\n", "b/b.go": "// Package b is a package.\npackage b\n\nimport \"" + module +
			"/a\"\n\nvar _ = a.Used\n"}, "tree", 1},
		"unused-names, reached": {map[string]string{
			"a/a.go": head + "func F(p P) *t { return nil }\ntype P struct{ X; y Y }\ntype X int\ntype Y int\ntype t int\n" +
				"func (t) M() E { return 0 }\ntype E int\nconst (\n\tA E = iota\n\tB\n)\nconst C = 1\n",
			"b/b.go": "// Package b is a package.\npackage b\n\nimport \"" + module + "/a\"\n\nvar _ = a.F\n",
		}, "tree", 2},
		"bare-failures": {map[string]string{
			"a/a_test.go": "package a\n\nfunc f(t *testing.T) {\n\tt.Errorf(`%v, %v`, 1, 2)\n\tt.Errorf(`got %v`, 1)\n}\n",
		}, "tree", 1},
		"long-sleeps": {map[string]string{
			"a/a_test.go": "package a\n\nfunc f() {\n\ttime.Sleep(time.Second)\n\n\ttime.Sleep(time.Second / 100)\n}\n",
		}, "tree", 1},
		"top-folders": {map[string]string{"a/a.go": head, "b/c/c.go": head}, "tree", 2},
	} {
		t.Run(law, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range c.files {
				file := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			law, _, _ := strings.Cut(law, ",")
			if got := measure(t, root)[law][c.subject]; got != c.want {
				t.Errorf("%s of %s: got %d, want %d", law, c.subject, got, c.want)
			}
		})
	}
	for _, l := range limits {
		if !strings.Contains(sizesOf(counts{l.law: {"x": l.most + 1}}), l.law) {
			t.Errorf("%s: one more than allowed is not told", l.law)
		}
	}
}
