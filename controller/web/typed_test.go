package web_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/controller/server"
)

// documents are the page's types, by the names that the API's description has for them.
var documents = map[string]string{
	"Self": "Self", "Source": "Source", "States": "States", "Lease": "Lease", "Instance": "Instance", "Phases": "Phases",
	"Event": "Event", "Plans": "Plans", "Plan": "Plan",
	"Directive": "Directive", "Directed": "Directed", "History": "History", "Point": "Point", "Problem": "Problem",
	"SignIn": "SignIn", "Waiter": "Waiter", "TerminalEnd": "TerminalEnd",
	"SlapStatus": "SlapStatus", "SlapComputer": "SlapComputer", "SlapPartition": "SlapPartition",
	"SlapProgram": "SlapProgram", "SlapPromise": "SlapPromise", "SlapRelease": "SlapRelease",
	"SlapComputerDetail": "SlapComputerDetail", "SlapInstance": "SlapInstance",
	"SlapInstanceDetail": "SlapInstanceDetail", "SlapConnection": "SlapConnection", "SlapType": "SlapType",
	"SlapSoftware": "SlapSoftware", "SlapUsagePoint": "SlapUsagePoint", "SlapUsageSeries": "SlapUsageSeries",
	"SlapUsage": "SlapUsage",
}

// later are those, and paths, that the API may not have yet.
var later = map[string]bool{"Problem": true, "TerminalEnd": true}

// TestTypes: the page is right by its types, and its types are what the API's description says.
func TestTypes(t *testing.T) {
	modules := packages(t)
	dir := t.TempDir()
	ui, err := filepath.Abs("ui")
	if err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{
		"src": filepath.Join(ui, "src"), "node_modules": modules, "tsconfig.json": filepath.Join(ui, "tsconfig.json"),
	} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	node := func(script string, args ...string) {
		t.Helper()
		cmd := exec.Command("node", append([]string{filepath.Join("node_modules", filepath.FromSlash(script))}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: err = %v\nout = %s; want no error", script, err, out)
		}
	}
	srv := httptest.NewServer(server.New(server.Options{
		Engine:    func() server.Engine { return server.Engine{} },
		Version:   "test",
		Identity:  func() api.Identity { return api.Identity{} },
		Callers:   server.Callers{Authenticate: func(*http.Request) (auth.Principal, error) { return auth.Principal{}, nil }},
		Lifecycle: server.Lifecycle{Ready: func(context.Context) error { return nil }},
	}))
	defer srv.Close()
	answer, err := http.Get(srv.URL + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var check strings.Builder
	check.WriteString(
		"import type { components, paths } from \"./schema\";\nimport type * as page from \"./src/types\";\ntype Schemas = components[\"schemas\"];\n",
	)
	for ours, name := range documents {
		if !later[ours] || strings.Contains(string(text), `"`+name+`":{"additionalProperties"`) {
			check.WriteString("export const of" + ours + " = (v: Schemas[\"" + name + "\"]): page." + ours + " => v;\n")
		}
	}
	for _, path := range asked(t) {
		if later[path] && !strings.Contains(string(text), `"`+path+`":`) {
			continue
		}
		check.WriteString("export const at_" + regexp.MustCompile(`\W`).ReplaceAllString(path, "_") + ": keyof paths = \"" + path + "\";\n")
	}
	for name, text := range map[string]string{
		"openapi.json": string(text), "check.ts": check.String(),
		"check.json": `{"extends": "./tsconfig.json", "include": ["check.ts"]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	node("openapi-typescript/bin/cli.js", "openapi.json", "-o", "schema.ts")
	node("typescript/bin/tsc", "--preserveSymlinks", "-p", ".")
	node("typescript/bin/tsc", "--preserveSymlinks", "-p", "check.json")
}

// asked are the paths that the page asks for, as the API's description writes them.
func asked(t *testing.T) (paths []string) {
	t.Helper()
	files, err := filepath.Glob("ui/src/*.ts*")
	if err != nil || len(files) < 10 {
		t.Fatalf("files = %v, err = %v; want no error and len(files) >= 10", files, err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(
			"[\"`](/v1/[a-z/]+)(\\$\\{encodeURIComponent\\((?:lease\\.id|name)[^}]*\\}(/[a-z]+)?)?|\"(/v1/instances/)\" \\+ encode",
		).FindAllStringSubmatch(string(text), -1) {
			path := m[1] + m[4]
			if strings.HasSuffix(path, "/") {
				path += map[string]string{
					"/v1/instances/": "{name}", "/v1/leases/": "{lease}", "/v1/queue/": "{id}",
					"/v1/slap/instances/": "{instance}", "/v1/slap/computers/": "{computer}",
				}[path] + m[3]
			}
			if !seen[path] {
				seen[path] = true
				paths = append(paths, path)
			}
		}
	}
	if len(paths) < 10 {
		t.Fatalf("the page asks for %q", paths)
	}
	return paths
}
