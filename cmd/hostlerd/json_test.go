package main

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli/cloudcmd"
	"github.com/hostler-project/hostler/cli/debugcmd"
	"github.com/hostler-project/hostler/cli/deploycmd"
	"github.com/hostler-project/hostler/cli/imagecmd"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/metalcmd"
	"github.com/hostler-project/hostler/cli/runcmd"
	"github.com/hostler-project/hostler/cli/selfcmd"
	"github.com/hostler-project/hostler/cli/servercmd"
	"github.com/hostler-project/hostler/cli/slaposcmd"
	"github.com/hostler-project/hostler/cli/sourcecmd"
	"github.com/hostler-project/hostler/cli/sshcmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/deploy"
	"github.com/hostler-project/hostler/director/imagecache"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/run/runlog"
)

// documents are all that --json prints, by their names in docs/json.md.
var documents = merged(
	map[string]any{
		"version":         version.Info{},
		"facts-of":        compute.Facts{},
		"event":           compute.Event{},
		"webhook":         api.Webhook{},
		"webhook-test":    api.WebhookTest{},
		"error":           term.ErrorDocument{},
		"waiter":          api.Waiter{},
		"apply":           api.ApplyAnswer{},
		"thing-change":    api.ThingChange{},
		"plan":            api.Plan{},
		"directive":       api.Directive{},
		"metal-changes":   imagecache.Changes{},
		"metal-count":     imagecache.Count{},
		"metal-directive": imagecache.NodeAction{},
		"metal-flight":    imagecache.NodeRecord{},
		"metal-ready":     imagecache.Ready{},
		"metal-taken":     imagecache.Taking{},
		"node-ssh":        deploy.SSH{},
		"node-bundle":     deploy.Bundle{},
		"node-script":     deploy.Script{},
		"run":             runlog.Record{},
		"run-phases":      runlog.Phases{},
		"run-bytes":       runlog.Bytes{},
		"run-tests":       runlog.Tests{},
		"run-failure":     runlog.Failure{},
		"run-artifact":    runlog.Artifact{},
		"token":           api.NewToken{},
		"act":             api.Act{},
	},
	cloudcmd.Documents, debugcmd.Documents, deploycmd.Documents, runcmd.Documents,
	imagecmd.Documents, leasecmd.Documents, metalcmd.Documents,
	servercmd.Documents, slaposcmd.Documents(), sshcmd.Documents, sourcecmd.Documents, selfcmd.Documents,
)

// merged puts the documents of all packages together.
func merged(all ...map[string]any) map[string]any {
	out := map[string]any{}
	for _, some := range all {
		maps.Copy(out, some)
	}
	return out
}

// TestSchema holds docs/json.md and the documents together, field by field and type by type.
func TestSchema(t *testing.T) {
	data, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	written := map[string][]string{} // lines "field type" by document
	name := ""
	title, row := regexp.MustCompile("^### `([a-z-]+)`"), regexp.MustCompile("^\\| `([a-z0-9_]+)` \\| ([^|]+?) \\|")
	for _, line := range strings.Split(string(data), "\n") {
		if m := title.FindStringSubmatch(line); m != nil {
			name = m[1]
			written[name] = nil
		} else if m := row.FindStringSubmatch(line); m != nil {
			written[name] = append(written[name], m[1]+" "+m[2])
		}
	}
	for name, v := range documents {
		want := fields(reflect.TypeOf(v))
		got, ok := written[name]
		if !ok {
			t.Errorf("docs/json.md has no %s; it is\n%s", name, strings.Join(want, "\n"))
			continue
		}
		if !slices.Equal(got, want) {
			t.Errorf("docs/json.md says of %s\n%s\nand it is\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		delete(written, name)
	}
	for name := range written {
		t.Errorf("docs/json.md has %s, which nothing prints", name)
	}
}

// fields lists a document's fields with their types, as docs/json.md writes them.
func fields(t reflect.Type) (out []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			out = append(out, fields(f.Type)...)
			continue
		}
		name, opt, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		typ := typeName(f.Type)
		if strings.Contains(opt, "omit") {
			typ += ", optional"
		}
		out = append(out, name+" "+typ)
	}
	return out
}

func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "time"
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct && t.Elem() != reflect.TypeFor[time.Time]():
		return typeName(t.Elem())
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem()) + " or null"
	case t.Kind() == reflect.Slice:
		return "list of " + typeName(t.Elem())
	case t.Kind() == reflect.Map:
		return "map of " + typeName(t.Elem())
	case t.Kind() == reflect.Struct:
		for name, v := range documents {
			if reflect.TypeOf(v) == t {
				return name
			}
		}
		return "undocumented " + t.String()
	case t.Kind() == reflect.String:
		return "string"
	case t.Kind() == reflect.Bool:
		return "bool"
	case t.Kind() == reflect.Float64:
		return "number"
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		return "integer"
	}
	return fmt.Sprint("undocumented ", t)
}
