package hostler_test

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// longSleep is how long a test may sleep without a reason beside it.
const longSleep = 200 * time.Millisecond

// bareFailures counts the failures of tests that print values and say neither what they are nor
// what was wanted: t.Errorf("%v, %v", got, err), t.Error(got, err). An error alone speaks for
// itself.
func bareFailures(s *source) (n int) {
	ast.Inspect(s.file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains([]string{"t", "b", "tb", "f"}, receiver(sel)) {
			return true
		}
		switch sel.Sel.Name {
		case "Errorf", "Fatalf":
			if format, ok := literal(call.Args[0]); ok && !says(format) {
				n++
			}
		case "Error", "Fatal":
			if len(call.Args) > 1 && !slices.ContainsFunc(call.Args, func(e ast.Expr) bool {
				text, ok := literal(e)
				return ok && says(text)
			}) {
				n++
			}
		}
		return true
	})
	return n
}

var verb = regexp.MustCompile(`%[-+# 0-9.*\[\]]*[a-zA-Z]`)

// says reports whether a format has a word beside its verbs.
func says(format string) bool {
	rest := verb.ReplaceAllString(format, "")
	return strings.ContainsFunc(rest, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' })
}

func receiver(sel *ast.SelectorExpr) string {
	id, _ := sel.X.(*ast.Ident)
	if id == nil {
		return ""
	}
	return id.Name
}

// literal is the text of a string, or of several joined by +.
func literal(e ast.Expr) (string, bool) {
	switch x := e.(type) {
	case *ast.BasicLit:
		if x.Kind == token.STRING {
			text, err := strconv.Unquote(x.Value)
			return text, err == nil
		}
	case *ast.BinaryExpr:
		a, first := literal(x.X)
		b, second := literal(x.Y)
		return a + b, first || second
	}
	return "", false
}

// longSleeps counts the sleeps in the tests of a package that are long and have no comment on their
// line or above it. What polls a condition does not count, nor what sleeps in synctest's time.
func longSleeps(tests []*source) (n int) {
	bubbles := inBubbles(tests)
	for _, s := range tests {
		commented := map[int]bool{}
		for _, g := range s.file.Comments {
			for line := s.set.Position(g.Pos()).Line; line <= s.set.Position(g.End()).Line; line++ {
				commented[line] = true
			}
		}
		polls := map[ast.Node]bool{}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Body == nil || bubbles[f] {
				continue
			}
			ast.Inspect(f.Body, func(node ast.Node) bool {
				switch x := node.(type) {
				case *ast.ForStmt:
					rests := []ast.Stmt{x.Post}
					if n := len(x.Body.List); n > 1 {
						rests = append(rests, x.Body.List[n-1])
					}
					for _, rest := range rests {
						if e, ok := rest.(*ast.ExprStmt); ok {
							polls[e.X] = true // a loop that looks, and rests
						}
					}
				case *ast.CallExpr:
					sel, ok := x.Fun.(*ast.SelectorExpr)
					line := s.set.Position(x.Pos()).Line
					if ok && receiver(sel) == "time" && sel.Sel.Name == "Sleep" && duration(x.Args[0]) >= longSleep &&
						!commented[line] && !commented[line-1] && !polls[x] {
						n++
					}
				}
				return true
			})
		}
	}
	return n
}

// inBubbles are the functions of a package's tests that call package synctest, or a function of
// these tests that does.
func inBubbles(tests []*source) map[*ast.FuncDecl]bool {
	calls, in, names := map[*ast.FuncDecl]map[string]bool{}, map[*ast.FuncDecl]bool{}, map[string]bool{"synctest": true}
	for _, s := range tests {
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			calls[f] = map[string]bool{}
			ast.Inspect(f.Body, func(node ast.Node) bool {
				switch x := node.(type) {
				case *ast.Ident:
					calls[f][x.Name] = true
				case *ast.SelectorExpr:
					calls[f][receiver(x)] = true
				}
				return true
			})
		}
	}
	for before := 0; before < len(names); {
		before = len(names)
		for f, used := range calls {
			for name := range names {
				if used[name] && !in[f] {
					in[f] = true
					if f.Recv == nil {
						names[f.Name.Name] = true
					}
				}
			}
		}
	}
	return in
}

// duration is the value of an expression of package time's units; 0 where it is no constant.
func duration(e ast.Expr) time.Duration {
	units := map[string]time.Duration{
		"Microsecond": time.Microsecond, "Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute,
	}
	switch x := e.(type) {
	case *ast.SelectorExpr:
		if receiver(x) == "time" {
			return units[x.Sel.Name]
		}
	case *ast.BinaryExpr:
		number := func(e ast.Expr) (float64, bool) {
			lit, ok := e.(*ast.BasicLit)
			if !ok {
				return 0, false
			}
			v := constant.MakeFromLiteral(lit.Value, lit.Kind, 0)
			f, _ := constant.Float64Val(constant.ToFloat(v))
			return f, true
		}
		if f, ok := number(x.X); ok && x.Op == token.MUL {
			return time.Duration(f * float64(duration(x.Y)))
		}
		if f, ok := number(x.Y); ok && x.Op == token.MUL {
			return time.Duration(f * float64(duration(x.X)))
		}
		if f, ok := number(x.Y); ok && x.Op == token.QUO && f != 0 {
			return time.Duration(float64(duration(x.X)) / f)
		}
	}
	return 0
}

// TestExplainIsSeen: the two laws of tests see what breaks them.
func TestExplainIsSeen(t *testing.T) {
	body := func(text string) *source {
		text, set := "package a\n\nfunc f() {\n\t"+text+"\n}\n", token.NewFileSet()
		f, err := parser.ParseFile(set, "a_test.go", text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		return &source{dir: "a", test: true, text: []byte(text), file: f, set: set}
	}
	for text, want := range map[string]int{
		`t.Errorf("%v, %v", got, err)`:          1,
		`t.Errorf("%+v: " + "%[1]d", got)`:      1,
		`t.Fatal(got, err)`:                     1,
		`t.Errorf("got %v, want %v", a, b)`:     0,
		`t.Fatal(err)`:                          0,
		`t.Error("status:", got)`:               0,
		`t.Run("x", func(t *testing.T) { })`:    0,
		`fmt.Errorf("%w", err)`:                 0,
		`t.Errorf("%s", "a"); b.Fatalf("%v")`:   2,
		`t.Errorf("file "+name+" is not", err)`: 0,
	} {
		if got := bareFailures(body(text)); got != want {
			t.Errorf("bareFailures(%s) = %d, want %d", text, got, want)
		}
	}
	for text, want := range map[string]int{
		"time.Sleep(time.Second)":                                                       1,
		"time.Sleep(3 * time.Second / 2)":                                               1,
		"time.Sleep(250 * time.Millisecond)":                                            1,
		"time.Sleep(100 * time.Millisecond)":                                            0,
		"time.Sleep(time.Second / 10)":                                                  0,
		"time.Sleep(time.Second) // what is late comes by then":                         0,
		"// what is late comes by then\n\ttime.Sleep(2 * time.Second)":                  0,
		"for !late() {\n\t\ttime.Sleep(time.Second)\n\t}":                               1,
		"for {\n\t\tif late() {\n\t\t\treturn\n\t\t}\n\t\ttime.Sleep(time.Second)\n\t}": 0,
		"for ; !late(); time.Sleep(time.Second) {\n\t}":                                 0,
		"synctest.Test(t, func(t *testing.T) { time.Sleep(time.Hour) })":                0,
	} {
		if got := longSleeps([]*source{body(text)}); got != want {
			t.Errorf("longSleeps(%s) = %d, want %d", text, got, want)
		}
	}
}
