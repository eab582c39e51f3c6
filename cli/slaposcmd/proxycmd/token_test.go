package proxycmd

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/configurecmd"
	"github.com/hostler-project/hostler/cli/slaposcmd/usercmd"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// token is one that the command prints for a certificate.
func (g *guarded) token(of, name string, o *certificateOptions) string {
	g.t.Helper()
	var out bytes.Buffer
	o.token = true
	s := sessionOf(cli.NewApp(strings.NewReader(""), &out, io.Discard), g.file)
	if err := runCertificate(g.t.Context(), s, of, name, o); err != nil {
		g.t.Fatal(err)
	}
	return out.String()
}

// by is a client by a configuration that a command has written.
func (g *guarded) by(file, section string) *client.Client {
	g.t.Helper()
	f, err := cfg.Read(file)
	if err != nil {
		g.t.Fatal(err)
	}
	o := client.Options{}
	for key, to := range map[string]*string{"master_url": &o.URL, "master_ca_file": &o.CAFile} {
		if *to, err = f.Text("slapos", key); err != nil || *to == "" {
			g.t.Fatalf("%s in %s: %q, %v", key, file, *to, err)
		}
	}
	for key, to := range map[string]*string{"cert_file": &o.CertFile, "key_file": &o.KeyFile} {
		if *to, err = f.Text(section, key); err != nil || *to == "" {
			g.t.Fatalf("%s in %s: %q, %v", key, file, *to, err)
		}
	}
	c, err := client.New(o)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(c.Close)
	return c
}

// A user and a node come to their certificates by tokens alone: of the administrator, and of the
// user. All of it by TLS, and what they get is written as they need it.
func TestSlaposEnrolled(t *testing.T) {
	g, ctx := newGuarded(t, "required"), t.Context()
	ca := filepath.Join(g.dir, "ca", "ca.crt")
	clientFile := filepath.Join(g.dir, "ann", "client.cfg")
	configure := func(token, file string) error {
		var errs bytes.Buffer
		s := sessionOf(cli.NewApp(strings.NewReader(token), io.Discard, &errs), file)
		return execute(t, configurecmd.NewConfigure(s), &errs, "client", "--master-url", g.url, "--master-url-web", g.url,
			"--master-ca-file", ca)
	}
	token := g.token("user", "ann", &certificateOptions{})
	if err := configure(token, clientFile); err != nil {
		t.Fatal(err)
	}
	if err := configure(token, filepath.Join(g.dir, "eve", "client.cfg")); err == nil ||
		!strings.Contains(err.Error(), "a token is good for once") {
		t.Errorf("with the same token again: err = %v; want an error with the hint of denied ones", err)
	}
	for _, name := range []string{"client.cfg", "client.key", "client.crt"} {
		if info, err := os.Stat(filepath.Join(g.dir, "ann", name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: info = %v, err = %v; want no error and info.Mode().Perm() == 0o600", name, info, err)
		}
	}
	ann := g.by(clientFile, "slapconsole")
	for _, node := range []struct{ title, token string }{{"build1", ""}, {"COMP-9", g.token("computer", "COMP-9", &certificateOptions{})}} {
		token := node.token
		if token == "" {
			var err error
			if token, err = ann.Hypermedia().ComputerToken(ctx); err != nil {
				t.Fatal(err)
			}
		}
		file := filepath.Join(g.dir, node.title, "slapos", "slapos.cfg")
		register := func(token string) {
			t.Helper()
			var errs bytes.Buffer
			s := sessionOf(cli.NewApp(strings.NewReader(token), io.Discard, &errs), file)
			if err := execute(t, configurecmd.NewRegister(s), &errs, node.title, "--interface-name", "lo", "--master-url", g.url,
				"--master-url-web", g.url, "--master-ca-file", ca); err != nil {
				t.Fatal(err)
			}
		}
		register(token)
		f, err := cfg.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		guid, err := f.Text("slapos", "computer_id")
		if err != nil || node.token != "" && guid != "COMP-9" {
			t.Fatalf(`guid = %v, err = %v; want no error and (node.token == "" or guid == "COMP-9")`, guid, err)
		}
		// A partition's user finds the key of its own below, by its name; the computer's is root's.
		for name, mode := range map[string]fs.FileMode{
			"key": 0o600, "certificate": 0o600, "ca.crt": 0o600, ".": 0o711, "partition_pki": 0o711,
		} {
			if info, err := os.Stat(filepath.Join(g.dir, node.title, "slapos", "ssl", name)); err != nil || info.Mode().Perm() != mode {
				t.Errorf("%s: info = %v, err = %v; want no error and info.Mode().Perm() == mode", name, info, err)
			}
		}
		// The node speaks for itself alone, and its user has it, until that is revoked.
		speaks := g.by(file, "slapos")
		if err := speaks.Configure(ctx, configuration(guid)); err != nil {
			t.Error(err)
		}
		denies(t, "another computer", speaks.Configure(ctx, configuration("COMP-1")))
		err = ann.Supply(ctx, "u", guid, proto.Available)
		if node.token != "" {
			denies(t, "a computer that is nobody's", err)
			err = g.certificate("computer", guid, &certificateOptions{revoke: true})
		} else if err == nil {
			err = ann.RevokeCertificate(ctx, guid)
		}
		if err != nil {
			t.Error(err)
		}
		denies(t, "what is revoked, on an open connection", speaks.Configure(ctx, configuration(guid)))

		// Its user has it registered again, under the same name; of another's he gets no token.
		again, err := ann.Hypermedia().ComputerTokenFor(ctx, guid)
		if node.token != "" {
			denies(t, "a token for a computer that is nobody's", err)
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		register(again)
		if f, err = cfg.Read(file); err != nil {
			t.Fatal(err)
		}
		if same, err := f.Text("slapos", "computer_id"); err != nil || same != guid {
			t.Errorf("registered again it is %s, and was %s: %v", same, guid, err)
		}
		if err := g.by(file, "slapos").Configure(ctx, configuration(guid)); err != nil {
			t.Error(err)
		}
	}
}

// With tls = optional one port takes both: who comes without TLS, or without a certificate, may do
// everything, who shows one what that one may.
func TestSlaposOptional(t *testing.T) {
	g, ctx := newGuarded(t, "optional"), t.Context()
	plain, err := client.New(client.Options{URL: "http" + strings.TrimPrefix(g.url, "https")})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if err := plain.Configure(ctx, configuration("COMP-1")); err != nil {
		t.Fatal(err)
	}
	if err := g.as("").Configure(ctx, configuration("COMP-2")); err != nil {
		t.Error(err)
	}
	if err := g.certificate("computer", "COMP-1", &certificateOptions{}); err != nil {
		t.Fatal(err)
	}
	node := g.as("COMP-1")
	if err := node.Configure(ctx, configuration("COMP-1")); err != nil {
		t.Error(err)
	}
	denies(t, "another computer", node.Configure(ctx, configuration("COMP-2")))
}

// What there is no place for is shown with why.
func TestSlaposServiceWithoutPlace(t *testing.T) {
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
	if _, err := c.Request(t.Context(), &proto.Request{Title: "late", Release: "u"}); !errors.Is(err, client.ErrNotFound) {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "client.cfg")
	if err := os.WriteFile(file, []byte("[slapos]\nmaster_url = "+url+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, json := range []bool{false, true} {
		var out, errs bytes.Buffer
		a := cli.NewApp(strings.NewReader(""), &out, &errs)
		a.JSON = json
		if err := execute(t, usercmd.NewService(sessionOf(a, file)), &errs, "info", "late"); err != nil {
			t.Fatal(err)
		}
		want := `"allocation-error": "there is no computer COMP-1"`
		if json {
			want = `"reason": "there is no computer COMP-1"`
		}
		if !strings.Contains(out.String(), want) || !strings.Contains(out.String(), `"status": "red"`) {
			t.Error(out.String())
		}
	}
}
