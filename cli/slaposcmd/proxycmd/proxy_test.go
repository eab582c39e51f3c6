package proxycmd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/slapos"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/proto"
	slapclient "github.com/hostler-project/hostler/slapos/proto/client"
)

// proxied starts a master by a file, and returns its URL and what ends it, which returns its error.
func proxied(t *testing.T, file string, o *startOptions) (url string, end func() error) {
	t.Helper()
	r, w := io.Pipe()
	a := cli.NewApp(strings.NewReader(""), io.Discard, w)
	s := sessionOf(a, file)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		err := runStart(ctx, s, o)
		_ = w.Close()
		done <- err
	}()
	lines := bufio.NewScanner(r)
	said := regexp.MustCompile(`SlapOS master on (https?://\S+/),`)
	for lines.Scan() {
		if m := said.FindStringSubmatch(lines.Text()); m != nil {
			url = m[1]
			break
		}
	}
	if url == "" {
		cancel()
		t.Fatal("it does not say where it is:", <-done)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	end = func() error { cancel(); return <-done }
	return url, end
}

const proxyFile = `[slapos]
computer_id = COMP-1
[slapproxy]
host = 127.0.0.1
port = 0
database_uri = DATABASE
software_product_list =
  demo https://software.example/demo/software.cfg
  demo https://software.example/demo-old/software.cfg
[multimaster/http://127.0.0.1:1/]
software_release_list =
  https://software.example/elsewhere/software.cfg
`

func proxyConfiguration(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "slapos.cfg")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "DATABASE", filepath.Join(dir, "master.db"))), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A node formats itself, a client requests, the node is told; and all of it is there when the
// master is started again.
func TestSlaposProxyStart(t *testing.T) {
	file := proxyConfiguration(t, proxyFile)
	url, end := proxied(t, file, &startOptions{})
	client := func() *slapclient.Client {
		t.Helper()
		c, err := slapclient.New(slapclient.Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := client()
	err := c.Configure(t.Context(), proto.Dictionary{"reference": "COMP-1", "address": "::1", "netmask": "", "partition_list": proto.List{
		proto.Dictionary{
			"reference": "slappart0", "tap": proto.Dictionary{"name": "tap0"},
			"address_list": proto.List{proto.Dictionary{"addr": "10.0.0.1", "netmask": "255.255.255.255"}},
		}}})
	if err != nil {
		t.Fatal(err)
	}
	q := &proto.Request{Title: "Größe", Release: "https://software.example/demo/software.cfg", Parameters: proto.Dictionary{"a": "<&>"}}
	n, err := c.Request(t.Context(), q)
	if err != nil || n.Partition != "slappart0" || n.Parameters["a"] != "<&>" {
		t.Fatalf(`n = %+v, err = %v; want no error and n.Partition == "slappart0" and n.Parameters["a"] == "<&>"`, n, err)
	}
	if _, err := c.Request(t.Context(), &proto.Request{Title: "second", Release: "r"}); !errors.Is(err, slapclient.ErrNotFound) ||
		!strings.Contains(err.Error(), "all 1 partitions of COMP-1 are in use") {
		t.Errorf("without room: %v", err)
	}
	if _, err := c.Request(
		t.Context(), &proto.Request{Title: "far", Release: "https://software.example/elsewhere/software.cfg"},
	); err == nil || errors.Is(err, slapclient.ErrNotFound) {
		t.Errorf("to a master that is not there: %v", err)
	}
	if all, err := c.Releases(t.Context(), "demo"); err != nil || len(all) != 2 || !strings.Contains(all[0], "/demo/") {
		t.Errorf(`all = %v, err = %v; want no error and len(all) == 2 and all[0] with "/demo/"`, all, err)
	}
	for path, want := range map[string]int{"": 200, "panel/panel.js": 200, "panel/public/a": 403, "http_proxy/http/10.0.0.2/": 403} {
		if answer, err := http.Get(url + path); err != nil || answer.StatusCode != want {
			t.Errorf("%s: answer = %v, err = %v; want no error and answer.StatusCode == want", path, answer, err)
		} else {
			answer.Body.Close()
		}
	}
	r, err := http.NewRequestWithContext(
		t.Context(), http.MethodPost, url+"supplySupply", strings.NewReader("url=u&computer_id=COMP-1&state=available"),
	)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://evil.example")
	if answer, err := http.DefaultClient.Do(r); err != nil || answer.StatusCode != http.StatusForbidden {
		t.Errorf("a page of another site: %v, %v", answer, err)
	} else {
		answer.Body.Close()
	}
	c.Close()
	if err := end(); err != nil {
		t.Error(err)
	}

	url, end = proxied(t, file, &startOptions{})
	c = client()
	defer c.Close()
	computer, err := c.Computer(t.Context(), "COMP-1")
	if err != nil || len(computer.Partitions) != 1 || computer.Partitions[0].Title != "Größe" {
		t.Errorf("started again: %+v, %v", computer, err)
	}
	if again, err := c.Request(t.Context(), q); err != nil || again.Timestamp != n.Timestamp {
		t.Errorf("the same request: %+v, %v", again, err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestSlaposProxyConfiguration(t *testing.T) {
	for _, c := range []struct{ old, new, says string }{
		{"port = 0", "tls = perhaps", `tls in [slapproxy] is "perhaps", none of off, optional, required`},
		{"port = 0", "tls_cert = x.crt", "tls_cert in [slapproxy] and tls_key go together"},
		{"port = 0", "tls = required\ntls_cert = x.crt\ntls_key = x.key", "tls_cert in [slapproxy] cannot be used"},
		{
			"  demo https://software.example/demo/software.cfg", "  demo",
			`software_product_list in [slapproxy] has a line that is not NAME URL: "demo"`,
		},
		{"DATABASE", "postgres://me:secret@127.0.0.1/x", "a password does not belong in this file"},
	} {
		file := proxyConfiguration(t, strings.Replace(proxyFile, c.old, c.new, 1))
		var errs bytes.Buffer
		s := sessionOf(cli.NewApp(strings.NewReader(""), io.Discard, &errs), file)
		err := runStart(t.Context(), s, &startOptions{})
		if !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v; want %q", err, c.says)
		}
	}
	s := quiet(filepath.Join(t.TempDir(), "none.cfg"))
	if err := runStart(t.Context(), s, &startOptions{}); !errors.Is(err, compute.ErrInvalid) ||
		!strings.Contains(err.Error(), "there is no ") {
		t.Error(err)
	}
}

// What it says, and what it logs, is in the file too.
func TestSlaposProxyLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "proxy.log")
	url, end := proxied(t, proxyConfiguration(t, strings.Replace(proxyFile, "port = 0", "port = 0\nlog_file = "+log, 1)), &startOptions{})
	if err := end(); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), "SlapOS master on "+url) {
		t.Errorf(`text = %q, err = %v; want no error and string(text) with "SlapOS master on " + url`, text, err)
	}
}

// A port that is none is an error with its line, and so is one of an option.
func TestSlaposProxyPort(t *testing.T) {
	f, err := cfg.Parse("slapos.cfg", []byte("[slapos]\ncomputer_id = C\n[slapproxy]\nport = 70000\n"))
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{
		"": "slapos.cfg, line 4: port in [slapproxy] is no port", "abc": "--port abc: it is no port",
		"-1": "--port -1: it is no port",
	} {
		o := &startOptions{port: given, database: "x"}
		if err := o.read(f); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: err = %v; want an error and strings.HasPrefix(err.Error(), want)", given, err)
		}
	}
}

// A file that cannot be had is told by the key that names it.
func TestSlaposProxyNoDatabase(t *testing.T) {
	s := quiet("")
	_, _, err := openStore(t.Context(), s, "/proc/nosuch/master.db")
	if !errors.Is(err, compute.ErrInvalid) ||
		!strings.HasPrefix(term.ErrorText(err), "database_uri: /proc/nosuch/master.db: ") || strings.Contains(compute.Hint(err), "XDG") {
		t.Errorf(
			"err = %v, compute.Hint(err) = %s"+
				`; want error compute.ErrInvalid and strings.HasPrefix(term.ErrorText(err), "database_uri: `+
				`/proc/nosuch/master.db: ") and compute.Hint(err) without "XDG"`,
			err, compute.Hint(err),
		)
	}
}

// Another master is known by its own authority.
func TestSlaposProxyMasters(t *testing.T) {
	f, err := cfg.Parse(
		"slapos.cfg",
		[]byte(
			"[multimaster/https://other.example/]\nkey = k\ncert = c\nca = a\ncomputer = COMP-2\npartition = p\nsoftware_release_list =\n  x\n  y\n",
		),
	)
	if err != nil {
		t.Fatal(err)
	}
	opt, err := slapos.ReadMaster(f)
	for _, x := range []struct {
		master.External
		says string
	}{
		{master.External{URL: "foo"}, "address of a master"}, {master.External{URL: "https:///"}, "address of a master"},
		{master.External{URL: "https://foo/", KeyFile: "k"}, "both key and cert"},
		{master.External{URL: "https://foo/", KeyFile: "k", CertFile: "c"}, ""}, {master.External{URL: "http://[::1]:5000/"}, ""},
	} {
		if got := slapos.Unfit(x.External); (got == "") != (x.says == "") || !strings.Contains(got, x.says) {
			t.Errorf(`%s: got = %q; want (got == "") == (x.says == "") and got with x.says`, x.URL, got)
		}
	}
	want := master.External{
		URL: "https://other.example/", KeyFile: "k", CertFile: "c", CAFile: "a", Computer: "COMP-2", Partition: "p",
		Releases: []string{"x", "y"},
	}
	if err != nil || len(opt.Masters) != 1 || !reflect.DeepEqual(opt.Masters[0], want) {
		t.Errorf(
			"opt.Masters = %+v, err = %v"+
				"; want no error and len(opt.Masters) == 1 and opt.Masters[0] == want",
			opt.Masters, err,
		)
	}
}

// sessionOf is the session of an application with --cfg.
func sessionOf(a *cli.App, file string) *session.Session {
	s := session.New(a)
	s.File = file
	return s
}

// quiet is a session with --cfg whose output nobody reads.
func quiet(file string) *session.Session {
	return sessionOf(cli.NewApp(strings.NewReader(""), io.Discard, io.Discard), file)
}

// execute runs a command. Its error has what the command said of it.
func execute(t *testing.T, cmd *cobra.Command, said fmt.Stringer, words ...string) error {
	t.Helper()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(words)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}
