package main

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/analysis/suite/vet"
	"golang.org/x/tools/go/packages"
)

// check loads the module in dir for a target and returns all that is wrong with it there.
func check(dir, target string) error {
	system, arch, ok := strings.Cut(target, "/")
	if !ok {
		return fmt.Errorf("%s: give GOOS/GOARCH, as linux/arm64", target)
	}
	l := &loader{fset: token.NewFileSet(), checked: map[*packages.Package]bool{}, found: map[string]bool{}}
	roots, err := packages.Load(&packages.Config{
		Mode:  packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedDeps | packages.NeedModule | packages.NeedTypesSizes,
		Dir:   dir,
		Env:   append(os.Environ(), "GOOS="+system, "GOARCH="+arch, "CGO_ENABLED=0"),
		Fset:  l.fset,
		Tests: true,
	}, "./...")
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	// The program that runs a package's tests is written when these are built.
	roots = slices.DeleteFunc(roots, func(p *packages.Package) bool { return strings.HasSuffix(p.ID, ".test") })
	if len(roots) == 0 {
		return fmt.Errorf("%s: no package", target)
	}
	packages.Visit(roots, nil, l.check)
	if len(l.found) > 0 {
		return l.report(target)
	}
	// The analyzers know the standard library's functions themselves; of other modules' no bodies
	// were read.
	for p := range l.checked {
		maps.DeleteFunc(p.Imports, func(_ string, q *packages.Package) bool { return !own(q) })
	}
	suite := slices.DeleteFunc(slices.Clone(vet.Suite), func(a *analysis.Analyzer) bool { return slices.Contains(newer, a.Name) })
	graph, err := checker.Analyze(suite, roots, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	for _, a := range graph.Roots {
		if a.Err != nil {
			l.found[fmt.Sprintf("%s: %s: %v", a.Package.ID, a.Analyzer, a.Err)] = true
		}
		for _, d := range a.Diagnostics {
			l.found[fmt.Sprintf("%s: %s", l.fset.Position(d.Pos), d.Message)] = true
		}
	}
	return l.report(target)
}

// newer are analyzers that the go vet of Go 1.26 does not have.
var newer = []string{"scannererr", "sqlrowserr"}

// own says whether a package is of the module that is checked.
func own(p *packages.Package) bool { return p.Module != nil && p.Module.Main }

// loader type-checks packages from their sources, what is imported first.
type loader struct {
	fset    *token.FileSet
	checked map[*packages.Package]bool
	found   map[string]bool // a package and its variant for tests say the same
}

// check type-checks a package whose imports have been. Of a package that is not ours only what
// others see of it is looked at.
func (l *loader) check(p *packages.Package) {
	if p.PkgPath == "unsafe" {
		p.Types = types.Unsafe
		return
	}
	ours := own(p)
	l.checked[p] = ours
	if ours {
		for _, err := range p.Errors {
			l.found[err.Error()] = true
		}
	}
	mode := parser.SkipObjectResolution
	if ours {
		mode |= parser.ParseComments
	}
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(l.fset, name, nil, mode)
		if err != nil && ours {
			l.found[err.Error()] = true
		}
		if f != nil {
			p.Syntax = append(p.Syntax, f)
		}
	}
	conf := types.Config{
		Importer: importer(p.Imports), Sizes: p.TypesSizes, IgnoreFuncBodies: !ours,
		Error: func(err error) {
			if ours {
				l.found[err.Error()] = true
			}
		},
	}
	if p.Module != nil && p.Module.GoVersion != "" {
		conf.GoVersion = "go" + p.Module.GoVersion
	}
	p.Fset = l.fset
	if ours {
		p.TypesInfo = &types.Info{
			Types: map[ast.Expr]types.TypeAndValue{}, Instances: map[*ast.Ident]types.Instance{}, Defs: map[*ast.Ident]types.Object{},
			Uses: map[*ast.Ident]types.Object{}, Implicits: map[ast.Node]types.Object{},
			Selections: map[*ast.SelectorExpr]*types.Selection{},
			Scopes:     map[ast.Node]*types.Scope{}, FileVersions: map[*ast.File]string{},
		}
	}
	p.Types, _ = conf.Check(p.PkgPath, l.fset, p.Syntax, p.TypesInfo) // Error has it
	if !ours {
		p.Syntax = nil
	}
}

// report says what was found, by place.
func (l *loader) report(target string) error {
	here, _ := os.Getwd()
	var all []error
	for _, text := range slices.SortedFunc(maps.Keys(l.found), cmp.Compare[string]) {
		if here != "" {
			text = strings.TrimPrefix(text, here+string(filepath.Separator))
		}
		all = append(all, fmt.Errorf("%s: %s", target, text))
	}
	return errors.Join(all...)
}

// importer finds what a package imports among what was checked before it.
type importer map[string]*packages.Package

func (m importer) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	if p := m[path]; p != nil && p.Types != nil {
		return p.Types, nil
	}
	return nil, fmt.Errorf("%s is not there", path)
}
