package proxycmd

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/usercmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// What a node last said is wrong with an instance, or with a release, is shown where people look:
// of the service, and of the computer.
func TestSlaposTrouble(t *testing.T) {
	url, end := proxied(t, proxyConfiguration(t, proxyFile), &startOptions{})
	defer func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	}()
	c, err := client.New(client.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Configure(ctx, configuration("COMP-1")))
	must(c.Supply(ctx, "/no/such", "COMP-1", proto.Available))
	made, err := c.Request(ctx, &proto.Request{Title: "two", Release: "/no/such", Filter: proto.Dictionary{"computer_guid": "COMP-1"}})
	must(err)
	show := func(words ...string) (out map[string]any) {
		t.Helper()
		code, text, errs := inSlapos(t, url, words...)
		if code != 0 {
			t.Fatalf("%q: code = %d\nerrs = %s; want code == 0", words, code, errs)
		}
		must(json.Unmarshal([]byte(text), &out))
		return out
	}
	info := func() string {
		t.Helper()
		code, text, errs := inSlapos(t, url, "computer", "info", "COMP-1")
		if code != 0 {
			t.Fatalf("code = %d\nerrs = %s; want code == 0", code, errs)
		}
		return text
	}
	if v := show("service", "info", "two"); v["status"] != "none" || v["error"] != nil {
		t.Errorf("before all %v", v)
	}
	if text := info(); !strings.Contains(text, "Software: /no/such available\n") || strings.Contains(text, "failed") {
		t.Errorf("before all\n%s", text)
	}
	long := strings.Repeat("x", 100) + ":\nno such file or directory"
	must(c.ReportReleaseError(ctx, "/no/such", "COMP-1", long))
	for _, words := range [][]string{{"service", "info", "two"}, {"service", "info", "two", "--json"}} {
		if v := show(words...); v["status"] != "red" || v["error"] != "its software is not there: "+long {
			t.Errorf("%q without its software: %v", words, v)
		}
	}
	if text, want := info(), "Software: /no/such available, failed: "+strings.ReplaceAll(long, "\n", " ")+"\n"; !strings.Contains(text,
		want) {
		t.Errorf("without its software\n%s", text)
	}
	must(c.ReportRelease(ctx, "/no/such", "COMP-1", proto.Available))
	must(c.ReportInstanceError(ctx, made.Computer, made.Partition, "", "promise p failed"))
	if v := show("service", "info", "two"); v["status"] != "red" || v["error"] != "promise p failed" {
		t.Errorf("with an error %v", v)
	}
	if text := info(); !strings.Contains(text, "Software: /no/such available\n") ||
		!strings.Contains(text, " /no/such two, failed: promise p failed\n") {
		t.Errorf("with an error\n%s", text)
	}
	_, err = c.ReportInstance(ctx, made.Computer, made.Partition, proto.Started)
	must(err)
	if v := show("service", "info", "two"); v["status"] != "green" || v["error"] != nil {
		t.Errorf("at the end %v", v)
	}
	if text := info(); strings.Contains(text, "failed") {
		t.Errorf("at the end\n%s", text)
	}
}

// inSlapos runs a command line of slapos, with a file that names the master.
func inSlapos(t *testing.T, master string, words ...string) (code int, out, errs string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "client.cfg")
	text := "[slapos]\nmaster_url = " + master + "\nmaster_rest_url = " + master + "/hateoas/\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var o, e bytes.Buffer
	a := cli.NewApp(strings.NewReader(""), &o, &e)
	defer a.Host.Close()
	a.JSON = slices.Contains(words, "--json")
	words = slices.DeleteFunc(slices.Clone(words), func(word string) bool { return word == "--json" })
	s := sessionOf(a, file)
	cmd := map[string]*cobra.Command{"service": usercmd.NewService(s), "computer": usercmd.NewComputer(s)}[words[0]]
	err := execute(t, cmd, &e, words[1:]...)
	return term.ExitStatus(err), o.String(), e.String()
}
