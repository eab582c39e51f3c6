package hostler_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module      = "github.com/hostler-project/hostler"
	maxLines    = 600 // of a file
	maxMethods  = 7   // of an exported interface; embedded ones are counted where they are declared
	everything  = "*"
	lawFile     = "IMPORTS"
	wordsBanned = "util utils common helper helpers misc shared types base manager"
)

// TestArchitecture holds the tree to IMPORTS and to the sizes of ARCHITECTURE.md. It reads the
// files itself, so that the test cache sees every change that could break the law.
func TestArchitecture(t *testing.T) {
	for _, complaint := range judge(".") {
		t.Error(complaint)
	}
}

// judge returns what is wrong with the tree at root, a line each.
func judge(root string) []string {
	law, complaints := readLaw(filepath.Join(root, lawFile))
	complaints = append(complaints, law.cycles()...)
	_ = filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
		if err != nil {
			complaints = append(complaints, err.Error())
			return nil
		}
		if !d.IsDir() {
			return nil
		}
		if dir != root && foreign(dir) {
			return filepath.SkipDir
		}
		rel, _ := filepath.Rel(root, dir)
		complaints = append(complaints, judgeRoom(law, dir, filepath.ToSlash(rel))...)
		return nil
	})
	return complaints
}

// foreign reports whether a directory below the root is no part of this module's code.
func foreign(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	name := filepath.Base(dir)
	return err == nil || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata"
}

// judgeRoom looks at one directory.
func judgeRoom(law law, dir, room string) (complaints []string) {
	files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	var commented, code bool
	for _, file := range files {
		name := path.Join(room, filepath.Base(file))
		text, err := os.ReadFile(file)
		if err != nil {
			complaints = append(complaints, err.Error())
			continue
		}
		if n := bytes.Count(text, []byte("\n")); n > maxLines {
			complaints = append(complaints, fmt.Sprintf("%s: %d lines, more than %d", name, n, maxLines))
		}
		stem, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".go"), "_")
		if banned(stem) {
			complaints = append(complaints, fmt.Sprintf("%s: a file of this name becomes a drawer", name))
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			complaints = append(complaints, err.Error())
			continue
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		code = true
		commented = commented || f.Doc != nil
		if banned(f.Name.Name) {
			complaints = append(complaints, fmt.Sprintf("%s: a package of this name becomes a drawer", name))
		}
		for _, imp := range f.Imports {
			to, ours := strings.CutPrefix(strings.Trim(imp.Path.Value, `"`), module)
			if ours && !law.allows(room, strings.TrimPrefix(to, "/")) {
				complaints = append(complaints, fmt.Sprintf("%s: %s may not import %s", name, room, strings.TrimPrefix(to, "/")))
			}
		}
		complaints = append(complaints, fatInterfaces(name, f)...)
		complaints = append(complaints, earlyPatterns(name, f)...)
	}
	if code && !commented {
		complaints = append(complaints, fmt.Sprintf("%s: no package comment", room))
	}
	if _, ok := law.line(room); code && !ok {
		complaints = append(complaints, fmt.Sprintf("%s: no line in %s", room, lawFile))
	}
	return complaints
}

// fatInterfaces complains of exported interfaces with too many methods.
func fatInterfaces(name string, f *ast.File) (complaints []string) {
	for _, decl := range f.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		for _, spec := range gen.Specs {
			typ := spec.(*ast.TypeSpec)
			iface, ok := typ.Type.(*ast.InterfaceType)
			if !ok || !typ.Name.IsExported() {
				continue
			}
			methods := 0
			for _, m := range iface.Methods.List {
				methods += len(m.Names)
			}
			if methods > maxMethods {
				complaints = append(
					complaints,
					fmt.Sprintf("%s: %s has %d methods, more than %d", name, typ.Name.Name, methods, maxMethods),
				)
			}
		}
	}
	return complaints
}

// earlyPatterns complains of regular expressions that are compiled at every start of the program,
// whether they are needed or not.
func earlyPatterns(name string, f *ast.File) (complaints []string) {
	for _, decl := range f.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.VAR {
			continue
		}
		ast.Inspect(gen, func(n ast.Node) bool {
			if _, ok := n.(*ast.FuncLit); ok {
				return false // when it is called
			}
			sel, ok := n.(*ast.SelectorExpr)
			if ok && sel.Sel.Name == "MustCompile" {
				complaints = append(
					complaints,
					fmt.Sprintf("%s: a regular expression of the package's own is compiled at every start; use sync.OnceValue", name),
				)
			}
			return true
		})
	}
	return complaints
}

func banned(name string) bool { return slices.Contains(strings.Fields(wordsBanned), name) }

// law is IMPORTS: for each line's room or pattern, the rooms and patterns that it may import.
type law map[string][]string

func readLaw(file string) (law, []string) {
	text, err := os.ReadFile(file)
	if err != nil {
		return law{}, []string{err.Error()}
	}
	l := law{}
	var complaints []string
	for n, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		room, allowed, ok := strings.Cut(line, ":")
		room = strings.TrimSpace(room)
		if _, twice := l[room]; !ok || twice || room == "" {
			complaints = append(complaints, fmt.Sprintf("%s:%d: not ROOM: ROOMS, or a second line for it", lawFile, n+1))
			continue
		}
		l[room] = strings.Fields(allowed)
	}
	return l, complaints
}

// fits reports whether a room is meant by a name or pattern.
func fits(pattern, room string) bool {
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return strings.HasPrefix(room, below+"/")
	}
	return pattern == everything || pattern == room
}

// line returns the pattern of the line that fits a room best: its own, else the longest.
func (l law) line(room string) (best string, ok bool) {
	for pattern := range l {
		if fits(pattern, room) && (pattern == room || best != room && len(pattern) > len(best)) {
			best, ok = pattern, true
		}
	}
	return best, ok
}

// allows reports whether a room's code may import another room. A room's parts may import each
// other only where a line says so.
func (l law) allows(from, to string) bool {
	pattern, ok := l.line(from)
	return ok && slices.ContainsFunc(l[pattern], func(p string) bool { return fits(p, to) })
}

// cycles finds circles in the table itself, before anyone walks into one.
func (l law) cycles() (complaints []string) {
	const walking, done = 1, 2
	state := map[string]int{}
	var walk func(room string, trail []string)
	walk = func(room string, trail []string) {
		if state[room] == done {
			return
		}
		if state[room] == walking {
			complaints = append(complaints, fmt.Sprintf("%s: a circle: %s", lawFile, strings.Join(append(trail, room), " > ")))
			return
		}
		state[room] = walking
		for _, allowed := range l[room] {
			if allowed == everything {
				continue // cmd, which nobody may import
			}
			for other := range l {
				if other == allowed || fits(allowed, other) || fits(other, allowed) && l.best(allowed) == other {
					walk(other, append(trail, room))
				}
			}
		}
		state[room] = done
	}
	rooms := make([]string, 0, len(l))
	for room := range l {
		rooms = append(rooms, room)
	}
	slices.Sort(rooms)
	for _, room := range rooms {
		walk(room, nil)
	}
	return complaints
}

// best is the line that stands for a room, or "".
func (l law) best(room string) string {
	pattern, _ := l.line(room)
	return pattern
}
