package hostler_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// unguarded are the rooms and files that dial by themselves, each with the reason for which nobody
// else than its own user says where to. Everything else goes out by package fetch. What dials no
// more is to be taken out.
var unguarded = map[string]string{
	"policy/fetch":                  "it is the guard",
	"image/registry":                "a registry is asked by the guard where a request names it, else as the owner says",
	"image/daemon.go":               "the docker daemon is a socket of this machine",
	"auth/signin":                   "a controller gives it the guard's transport",
	"slapos/parameter":              "a controller gives it the guard's client; a command reads what its user names",
	"slapos/proto/client":           "a client of the master that its own user configures",
	"slapos/enrol":                  "a client of the master that its own user configures",
	"slapos/cache":                  "the caches that the operator configures",
	"observe/trace/otlp":            "the collector that the operator configures",
	"client":                        "a client of the controller that its own user names",
	"client/device":                 "the provider that the user's own controller names",
	"cli/servercmd/signin.go":       "hostler login, a client",
	"controller/slapos":             "its client has the guard's transport",
	"host/keeper":                   "its own socket",
	"controller/apiprocess":         "pairs of sockets with the engine that started it",
	"slapos/node/supervise":         "its own socket",
	"slapos/node/hook/forward":      "ports that the node's own settings lead to another",
	"remote":                        "forwards of the user's own ports",
	"remote/process":                "ports that the user forwards, inside the computer",
	"remote/openssh":                "the user's ssh agent",
	"remote/agentcmd":               "sockets of its own",
	"remote/sshconn":                "hosts of sources",
	"provider/sandbox":              "sockets of its own",
	"provider/container":            "the engine's socket",
	"compute/computetest/wayout":    "tests try what it does not guard",
	"provider/sandbox/network":      "a sandbox's resolver asks those of this machine",
	"provider/vm":                   "sockets of its own machines, and their ssh",
	"provider/vm/qmp":               "sockets of its own machines",
	"provider/vm/port":              "sockets of its own machines",
	"provider/ec2":                  "the cloud of the source",
	"provider/ec2/session":          "the metadata service of the cloud, which says which server this machine is",
	"provider/openstack":            "the cloud of the source",
	"provider/openstack/deployment": "what the cloud says of this machine",
	"compute/computetest":           "for tests",
	"auth/signin/signintest":        "for tests",
}

// dialers are what reaches other machines, by package.
var dialers = map[string][]string{
	"net/http":          {"DefaultClient", "DefaultTransport", "Get", "Post", "PostForm", "Head", "Client", "Transport"},
	"net":               {"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialUnix", "DialIP", "Dialer"},
	"crypto/tls":        {"Dial", "DialWithDialer", "Dialer"},
	"net/http/httputil": {"ReverseProxy", "NewSingleHostReverseProxy"},
	"net/smtp":          {"Dial", "SendMail"},
	"net/rpc":           {"Dial", "DialHTTP"},
	"github.com/google/go-containerregistry/pkg/v1/remote": {"DefaultTransport"},
}

// TestFetchesAreGuarded: whatever a controller could be made to fetch goes out by package fetch.
// What dials without it has a reason.
func TestFetchesAreGuarded(t *testing.T) {
	complaints, used := dialing(".")
	for _, c := range complaints {
		t.Error(c)
	}
	for room := range unguarded {
		if !used[room] {
			t.Errorf("%s dials no more: take it out of the list", room)
		}
	}
}

// dialing returns where the tree at root dials without the guard and without a reason, and what
// does dial.
func dialing(root string) (complaints []string, used map[string]bool) {
	used = map[string]bool{}
	_ = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			complaints = append(complaints, err.Error())
			return nil
		}
		rel, _ := filepath.Rel(root, file)
		if d.IsDir() {
			if name := d.Name(); rel == "tools" || name == "testdata" ||
				rel != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			complaints = append(complaints, err.Error())
			return nil
		}
		name := filepath.ToSlash(rel)
		room := path.Dir(name)
		for _, what := range dials(f) {
			used[room], used[name] = true, true
			if unguarded[room]+unguarded[name] == "" {
				complaints = append(
					complaints,
					fmt.Sprintf(
						"%s: %s reaches other machines without the guard: use package fetch, or say in arch_fetch_test.go why it need not",
						name, what,
					),
				)
			}
		}
		return nil
	})
	return complaints, used
}

// dials are the uses of what reaches other machines in a file that does not go by the guard. Types
// that are only named, as of a parameter, are none.
func dials(f *ast.File) (out []string) {
	as := map[string]string{} // packages by the names that the file has for them
	for _, imp := range f.Imports {
		at := strings.Trim(imp.Path.Value, `"`)
		if at == module+"/policy/fetch" {
			return nil
		}
		if dialers[at] != nil {
			as[path.Base(at)] = at
			if imp.Name != nil {
				as[imp.Name.Name] = at
			}
		}
	}
	found := func(n ast.Node, types bool) {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok || !slices.Contains(dialers[as[x.Name]], sel.Sel.Name) {
			return
		}
		if isType := slices.Contains([]string{"Client", "Transport", "Dialer", "ReverseProxy"}, sel.Sel.Name); isType == types {
			out = append(out, x.Name+"."+sel.Sel.Name)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			found(n.Type, true)
		case *ast.ValueSpec: // var d net.Dialer
			found(n.Type, true)
		case *ast.CallExpr: // new(net.Dialer)
			if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "new" && len(n.Args) == 1 {
				found(n.Args[0], true)
			}
		case *ast.SelectorExpr:
			found(n, false)
		}
		return true
	})
	return out
}

// TestDialsAreSeen: each way to reach another machine is seen, and what only names a type is none.
func TestDialsAreSeen(t *testing.T) {
	const head = "package x\nimport (\n\t\"crypto/tls\"\n\t\"net\"\n\tweb \"net/http\"\n)\n"
	for text, want := range map[string]int{
		"func f() { web.Get(\"\") }": 1, "var c = web.DefaultClient": 1, "func f() { c := &web.Client{}; _ = c }": 1,
		"func f() { var d net.Dialer; _ = d }": 1, "func f() { tls.Dial(\"\", \"\", nil) }": 1,
		"var d = new(net.Dialer)": 1, "func f() { g := net.Dial; _ = g }": 1, "type t struct{ c *web.Client }": 0,
		"func f(c *web.Client) {}": 0, "var t = web.DefaultTransport.(*web.Transport).Clone()": 1,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", head+text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := dials(f); len(got) != want {
			t.Errorf("%s: got = %v; want len(got) == want", text, got)
		}
	}
	guarded, err := parser.ParseFile(
		token.NewFileSet(), "x.go",
		strings.Replace(head, "(\n", "(\n\t\""+module+"/policy/fetch\"\n", 1)+"var c = web.DefaultClient",
		parser.SkipObjectResolution,
	)
	if err != nil || len(dials(guarded)) != 0 {
		t.Error("a file that goes by the guard", err)
	}
}
