package hostler_test

import (
	"go/ast"
	"go/token"
	"maps"
	"path"
	"slices"
	"strings"
)

// names counts exported names, and those that no other package selects, which it returns.
func names(all []*source, c counts) (unused []string) {
	declared, used := map[string]map[string]bool{}, map[string]map[string]bool{}
	for _, s := range all {
		if s.test || s.file.Name.Name == "main" {
			continue
		}
		note := func(id *ast.Ident) {
			if id.IsExported() {
				if declared[s.dir] == nil {
					declared[s.dir] = map[string]bool{}
				}
				declared[s.dir][id.Name] = true
			}
		}
		for _, decl := range s.file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					note(d.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch x := spec.(type) {
					case *ast.TypeSpec:
						note(x.Name)
					case *ast.ValueSpec:
						for _, id := range x.Names {
							note(id)
						}
					}
				}
			}
		}
	}
	for _, s := range all {
		imports := map[string]string{} // directories by the name that they go by here
		for _, i := range s.file.Imports {
			to, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), module+"/")
			if !ours || to == s.dir {
				continue
			}
			as := path.Base(to)
			if i.Name != nil {
				as = i.Name.Name
			}
			imports[as] = to
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			if sel, ok := node.(*ast.SelectorExpr); ok {
				if pkg, ok := sel.X.(*ast.Ident); ok && imports[pkg.Name] != "" {
					dir := imports[pkg.Name]
					if used[dir] == nil {
						used[dir] = map[string]bool{}
					}
					used[dir][sel.Sel.Name] = true
				}
			}
			return true
		})
	}
	files := map[string][]*ast.File{}
	for _, s := range all {
		if !s.test {
			files[s.dir] = append(files[s.dir], s.file)
		}
	}
	for dir, all := range declared {
		if used[dir] == nil {
			used[dir] = map[string]bool{}
		}
		reach(files[dir], used[dir])
		c.add("package-names", dir, len(all))
		for name := range all {
			if !used[dir][name] {
				unused = append(unused, dir+"."+name)
			}
		}
	}
	c.add("unused-names", "tree", len(unused))
	slices.Sort(unused)
	return unused
}

// reach adds to the names of a package that others select what those lead to: the types of
// parameters, results, fields, methods and variables, and the constants of such a type. Others have
// their values, and need not write their names.
func reach(files []*ast.File, used map[string]bool) {
	leads := map[string][]ast.Node{}
	lead := func(from string, to ast.Expr) {
		if leads[from] == nil {
			leads[from] = []ast.Node{} // it is declared here
		}
		if to != nil {
			leads[from] = append(leads[from], to)
		}
	}
	for _, f := range files {
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				switch {
				case d.Recv == nil:
					lead(d.Name.Name, d.Type)
				case d.Name.IsExported():
					lead(typeName(d.Recv.List[0].Type), d.Type)
				}
			case *ast.GenDecl:
				var of ast.Expr // the type of the constants so far
				for _, spec := range d.Specs {
					switch x := spec.(type) {
					case *ast.TypeSpec:
						lead(x.Name.Name, x.Type)
					case *ast.ValueSpec:
						if x.Type != nil || len(x.Values) > 0 {
							of = x.Type
						}
						for _, id := range x.Names {
							lead(id.Name, x.Type)
							for _, v := range x.Values {
								if lit, ok := v.(*ast.CompositeLit); ok {
									lead(id.Name, lit.Type)
								}
							}
							if name, ok := of.(*ast.Ident); ok && d.Tok == token.CONST {
								lead(name.Name, id)
							}
						}
					}
				}
			}
		}
	}
	next := slices.Collect(maps.Keys(used))
	seen := map[string]bool{}
	for len(next) > 0 {
		name := next[0]
		next = next[1:]
		if seen[name] {
			continue
		}
		seen[name], used[name] = true, true
		for _, node := range leads[name] {
			ast.Inspect(node, func(n ast.Node) bool {
				switch x := n.(type) {
				case *ast.Field:
					shown := len(x.Names) == 0 || slices.ContainsFunc(x.Names, (*ast.Ident).IsExported)
					_, isFunc := node.(*ast.FuncType)
					return shown || isFunc
				case *ast.SelectorExpr:
					return false
				case *ast.Ident:
					if _, ours := leads[x.Name]; ours {
						next = append(next, x.Name)
					}
				}
				return true
			})
		}
	}
}
