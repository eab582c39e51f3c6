package server_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOpenAPI: a generator of clients reads our description, finds nothing wrong with it, and makes
// a client with a call for each operation.
func TestOpenAPI(t *testing.T) {
	url := serve(t, engine(t))
	answer, err := http.Get(url + "/openapi-3.0.json") // the newest that it reads
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("answer.Status = %v, err = %v; want no error and answer.StatusCode == 200", answer.Status, err)
	}
	dir := t.TempDir()
	doc, out := filepath.Join(dir, "openapi.json"), filepath.Join(dir, "client.go")
	if err := os.WriteFile(doc, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CGO_ENABLED", "0") // as all that the tests build, so that nothing is compiled twice
	if said, err := exec.Command("go", "tool", "-modfile=../../tools/go.mod", "oapi-codegen", "-version").CombinedOutput(); err != nil {
		if os.Getenv("HOSTLER_REQUIRE_LAB") != "" {
			t.Fatalf("oapi-codegen: %v %s", err, said)
		}
		t.Skipf("oapi-codegen: it cannot be built here: %v %s", err, said)
	}
	said, err := exec.Command(
		"go", "tool", "-modfile=../../tools/go.mod", "oapi-codegen", "-generate", "types,client", "-package", "client",
		"-o", out, doc,
	).CombinedOutput()
	if err != nil {
		t.Fatalf("oapi-codegen: %v\n%s", err, said)
	}
	f, err := parser.ParseFile(token.NewFileSet(), out, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil {
			made[strings.ToLower(fn.Name.Name)] = true
		}
	}
	ops, _ := described(t, url)
	for _, o := range ops {
		if name := strings.ToLower(strings.ReplaceAll(o.ID, "-", "")); !made[name] && !made[name+"withbody"] {
			t.Errorf("%s %s: the client has no call %s", o.method, o.path, o.ID)
		}
	}
	if len(ops) < 15 {
		t.Errorf("only %d operations", len(ops))
	}
}

// TestCodes: each code that a problem may have stands in the guide and in the description.
func TestCodes(t *testing.T) {
	guide, err := os.ReadFile("../../docs/controller.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../../api/problem.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(source), "var kinds = []kind{")
	table, _, _ = strings.Cut(table, "\n}")
	doc, _, _ := strings.Cut(string(source), "// ProblemType")
	found := 0
	for line := range strings.Lines(table) {
		words := strings.Split(line, `"`)
		if len(words) != 3 {
			continue
		}
		found++
		if !strings.Contains(string(guide), words[1]) || !strings.Contains(doc, words[1]) {
			t.Errorf("the code %s does not stand in docs/controller.md and in the description", words[1])
		}
	}
	if found < 12 {
		t.Errorf("only %d codes found", found)
	}
}
