package apiprocess

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// named are the names of headers that stand as constants where they are read.
var named = map[string]string{
	"api.KeyHeader": api.KeyHeader, "api.PageHeader": api.PageHeader, "api.ProjectHeader": api.ProjectHeader,
	"api.ReasonHeader": api.ReasonHeader, "Header": request.Header, "request.Header": request.Header,
	"slapclient.PassedHeader": client.PassedHeader,
}

// TestPassing reads the source of what serves requests: each header that it reads passes.
func TestPassing(t *testing.T) {
	found := map[string]bool{}
	for _, dir := range []string{"../../controller", "../../slapos/master", "../../slapos/cache", "../../slapos/panel", "../../auth"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && slices.Contains([]string{"apiprocess", "webhook", "testdata", "ui"}, d.Name()) {
				return fs.SkipDir
			}
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			for _, name := range headersOf(t, file) {
				found[name] = true
				if !slices.ContainsFunc(forwardedHeaders, func(p string) bool { return http.CanonicalHeaderKey(p) == name }) {
					t.Errorf("%s reads the header %s, which does not pass", path, name)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(found) < 15 {
		t.Errorf("got %d headers that are read, want all: %v", len(found), found)
	}
}

// headersOf returns the headers of requests that a file reads: of r and of fields with a tag.
func headersOf(t *testing.T, file *ast.File) (out []string) {
	add := func(e ast.Expr) {
		switch e := e.(type) {
		case *ast.BasicLit:
			name, _ := strconv.Unquote(e.Value)
			out = append(out, http.CanonicalHeaderKey(name))
			return
		case *ast.CallExpr: // http.CanonicalHeaderKey(name)
			out = append(out, constant(t, e.Args[0]))
			return
		}
		out = append(out, constant(t, e))
	}
	isHeader := func(e ast.Expr) bool {
		s, ok := e.(*ast.SelectorExpr)
		if !ok || s.Sel.Name != "Header" {
			return false
		}
		switch x := s.X.(type) {
		case *ast.Ident:
			return x.Name == "r"
		case *ast.SelectorExpr:
			return x.Sel.Name == "r"
		}
		return false
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && isHeader(s.X) && (s.Sel.Name == "Get" || s.Sel.Name == "Values") {
				add(n.Args[0])
			}
		case *ast.IndexExpr:
			if isHeader(n.X) {
				add(n.Index)
			}
		case *ast.StructType:
			for _, f := range n.Fields.List {
				// a field that is described is the request's, or the answer's ETag
				if f.Tag == nil {
					continue
				}
				text, _ := strconv.Unquote(f.Tag.Value)
				if name := reflect.StructTag(text).Get("header"); name != "" && name != "ETag" && name != "Cache-Control" {
					out = append(out, http.CanonicalHeaderKey(name))
				}
			}
		}
		return true
	})
	// this says that an upgraded connection may come, which the proxy sees to
	return slices.DeleteFunc(out, func(name string) bool { return name == "Connection" })
}

func constant(t *testing.T, e ast.Expr) string {
	text := ""
	switch e := e.(type) {
	case *ast.Ident:
		text = e.Name
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			text = x.Name + "." + e.Sel.Name
		}
	}
	name, ok := named[text]
	if !ok {
		t.Fatalf("a header named by %q: say its value in this test", text)
	}
	return http.CanonicalHeaderKey(name)
}
