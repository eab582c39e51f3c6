package proxycmd

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/slaposcmd/usercmd"
	"github.com/hostler-project/hostler/controller/slapos"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
	"github.com/hostler-project/hostler/store/sqlite"
)

// A page of another site whose name leads here is told nothing; who names the master by what is its
// own is answered.
func TestSlaposNames(t *testing.T) {
	file := proxyConfiguration(t, strings.Replace(proxyFile, "port = 0\n", "port = 0\nserver_names = slap.example\n  Other.Example.\n", 1))
	url, end := proxied(t, file, &startOptions{})
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{
		"": 200, "127.0.0.1": 200, "127.0.0.1:5000": 200, "[::1]:5000": 200, "[fe80::1%25eth0]": 200,
		"LocalHost:80": 200, "localhost.": 200, "a.localhost": 200, own: 200, own + ":5000": 200,
		"slap.example": 200, "other.example:443": 200, "evil.example": 421, "evil.example:5000": 421,
		"127.0.0.1.evil.example": 421, "localhost.evil.example": 421, "1.2.3": 421, "xlocalhost": 421,
	} {
		for _, path := range []string{"getRunId", "panel/", "slapos.schema.slapos.get.v0.hateoas_url"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if answer.StatusCode != want || want == 421 && !strings.Contains(string(body), "server_names") {
				t.Errorf(
					"path = %s host = %q: answer.StatusCode = %d body = %s"+
						`; want answer.StatusCode == want and (want != 421 or string(body) with "server_names")`,
					path, host, answer.StatusCode, body,
				)
			}
		}
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]bool{"*": true, "a b": false, "": false} {
		f, err := cfg.Parse("slapos.cfg", []byte("[slapproxy]\nserver_names = "+text+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if names, err := slapos.ReadNames(f, "0.0.0.0"); err != nil || names.Own("evil.example") != want {
			t.Errorf(`%q: names = %v, err = %v; want no error and names.Own("evil.example") == want`, text, names, err)
		}
	}
	for _, text := range []string{"https://a", "a:80", "me@a"} {
		f, err := cfg.Parse("slapos.cfg", []byte("[slapproxy]\nserver_names = "+text+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := slapos.ReadNames(f, "127.0.0.1"); err == nil || !strings.Contains(err.Error(), "server_names") {
			t.Errorf(`%q: err = %v; want an error and err.Error() with "server_names"`, text, err)
		}
	}
}

// Profiles that have moved to another directory are found there after the next start, and the
// database is kept as it was before.
func TestSlaposReleaseRoot(t *testing.T) {
	dir := t.TempDir()
	before, after := filepath.Join(dir, "before"), filepath.Join(dir, "after")
	for _, name := range []string{"before/stays", "after/moved", "after/cannot"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "software.cfg"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := proxyConfiguration(t, strings.Replace(proxyFile, "port = 0\n", "port = 0\nlocal_software_release_root = "+before+"\n", 1))
	copies := func() []string {
		found, err := filepath.Glob(filepath.Join(filepath.Dir(file), "master.db-backup-*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	releases := func(o *startOptions, ask func(c *client.Client)) string {
		url, end := proxied(t, file, o)
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
		ask(c)
		n, err := c.Computer(t.Context(), "COMP-1")
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, r := range n.Releases {
			all = append(all, strings.TrimPrefix(r.URL, dir))
		}
		return strings.Join(all, " ")
	}
	supply := func(c *client.Client) {
		for _, name := range []string{"moved", "stays"} {
			if err := c.Supply(t.Context(), filepath.Join(before, name, "software.cfg"), "COMP-1", proto.Available); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := releases(&startOptions{}, supply); got != "/before/moved/software.cfg /before/stays/software.cfg" || len(copies()) != 0 {
		t.Fatalf(
			"got = %v, copies() = %v"+
				`; want got == "/before/moved/software.cfg /before/stays/software.cfg" and len(copies()) == 0`,
			got, copies(),
		)
	}
	for range 2 { // the second time there is nothing to do
		if got := releases(
			&startOptions{root: after}, func(*client.Client) {},
		); got != "/after/moved/software.cfg /before/stays/software.cfg" ||
			len(copies()) != 1 {
			t.Fatalf(
				"got = %v, copies() = %v"+
					`; want got == "/after/moved/software.cfg /before/stays/software.cfg" and len(copies()) == 1`,
				got, copies(),
			)
		}
	}
	kept := copies()[0]
	if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("info = %v, err = %v; want no error and info.Mode().Perm() == 0o600", info, err)
	}
	old, err := sqlite.Open(t.Context(), kept, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	if got := releases(
		&startOptions{database: kept, root: before}, func(*client.Client) {},
	); got != "/before/moved/software.cfg /before/stays/software.cfg" {
		t.Errorf("the copy has %s", got)
	}
}

// An administrator revokes a user's certificates by the network, and the user does himself; others
// are refused.
func TestSlaposUserRevoke(t *testing.T) {
	g := newGuarded(t, "required")
	for name, admin := range map[string]bool{"ann": false, "bob": false, "root": true} {
		if err := g.certificate("user", name, &certificateOptions{admin: admin}); err != nil {
			t.Fatal(err)
		}
	}
	revoke := func(as, whose string) (string, error) {
		var out, errs bytes.Buffer
		a := cli.NewApp(strings.NewReader(""), &out, &errs)
		a.JSON = true
		s := session.New(a)
		s.Client = g.as(as)
		err := execute(t, usercmd.NewUser(s), &errs, "revoke", whose)
		return out.String(), err
	}
	if _, err := revoke("ann", "bob"); err == nil || !strings.Contains(err.Error(), "cert_file and key_file") {
		t.Errorf("another's: err = %v; want an error with the hint of denied ones", err)
	}
	if _, err := revoke("root", "../x"); err == nil {
		t.Error("a name that no certificate has")
	}
	for _, by := range []string{"root", "ann"} {
		whose := map[string]string{"root": "bob", "ann": "ann"}[by]
		if err := g.as(whose).Call(t.Context(), "slapos.allDocs.v0.instance_tree_list", &jsonapi.Call{}, &jsonapi.Listing{}); err != nil {
			t.Errorf("before: %v", err)
		}
		if said, err := revoke(by, whose); err != nil || said != "{\n  \"user\": \""+whose+"\"\n}\n" {
			t.Errorf(
				"%s: said = %s, err = %v"+
					"; want no error and said == \"{\\n  \\\"user\\\": \\\"\"+whose+\"\\\"\\n}\\n\"",
				whose, said, err,
			)
		}
		if err := g.as(whose).Call(
			t.Context(), "slapos.allDocs.v0.instance_tree_list", &jsonapi.Call{}, &jsonapi.Listing{},
		); !errors.Is(err, client.ErrDenied) {
			t.Errorf("%s afterwards: %v", whose, err)
		}
	}
}
