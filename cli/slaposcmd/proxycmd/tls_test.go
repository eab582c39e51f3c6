package proxycmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/authority"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// guarded is a master that wants certificates, and the directory in which they are.
type guarded struct {
	t              *testing.T
	file, dir, url string
}

func newGuarded(t *testing.T, tls string) *guarded {
	t.Helper()
	g := &guarded{t: t, dir: t.TempDir()}
	g.file = proxyConfiguration(
		t,
		strings.Replace(proxyFile, "port = 0\n", "port = 0\ntls = "+tls+"\nca_directory = "+filepath.Join(g.dir, "ca")+"\n", 1),
	)
	var end func() error
	g.url, end = proxied(t, g.file, &startOptions{})
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	if !strings.HasPrefix(g.url, "https://") {
		t.Fatal(g.url)
	}
	return g
}

// certificate runs the command.
func (g *guarded) certificate(of, name string, o *certificateOptions) error {
	g.t.Helper()
	o.directory = g.dir
	s := quiet(g.file)
	return runCertificate(g.t.Context(), s, of, name, o)
}

// as is a client with somebody's certificate; "": with none.
func (g *guarded) as(name string) *client.Client {
	g.t.Helper()
	o := client.Options{URL: g.url, CAFile: filepath.Join(g.dir, "ca", "ca.crt")}
	if name != "" {
		o.CertFile, o.KeyFile = filepath.Join(g.dir, name+".crt"), filepath.Join(g.dir, name+".key")
	}
	c, err := client.New(o)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(c.Close)
	return c
}

func configuration(guid string) proto.Dictionary {
	return proto.Dictionary{"reference": guid, "address": "::1", "netmask": "", "partition_list": proto.List{
		proto.Dictionary{"reference": "slappart0", "tap": proto.Dictionary{"name": "tap0"}, "address_list": proto.List{}}}}
}

func denies(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, client.ErrDenied) {
		t.Errorf("%s: err = %v; want error client.ErrDenied", what, err)
	}
}

// A node, users and an administrator with certificates of the master, which may do each what is
// theirs, until they are revoked.
func TestSlaposProxyCertificates(t *testing.T) {
	g, ctx := newGuarded(t, "required"), t.Context()
	for _, c := range []struct {
		of, name string
		admin    bool
	}{
		{"computer", "COMP-1", false}, {"computer", "COMP-2", false}, {"user", "ann", false}, {"user", "bob", false},
		{"user", "root", true},
	} {
		if err := g.certificate(c.of, c.name, &certificateOptions{admin: c.admin}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := g.as("").RunID(ctx)
	denies(t, "without a certificate, what is no secret", err)
	_, err = g.as("").Computer(ctx, "COMP-1")
	denies(t, "without a certificate", err)

	node, ann, bob, root := g.as("COMP-1"), g.as("ann"), g.as("bob"), g.as("root")
	if err := node.Configure(ctx, configuration("COMP-1")); err != nil {
		t.Fatal(err)
	}
	denies(t, "another's computer", node.Configure(ctx, configuration("COMP-2")))
	denies(t, "a user's computer", ann.Configure(ctx, configuration("COMP-1")))
	n, err := ann.Request(ctx, &proto.Request{Title: "mine", Release: "u"})
	if err != nil || n.Computer != "COMP-1" {
		t.Fatalf(`n = %+v, err = %v; want no error and n.Computer == "COMP-1"`, n, err)
	}
	if _, err := ann.Partition(ctx, "COMP-1", "slappart0"); err != nil {
		t.Error(err)
	}
	_, err = bob.Partition(ctx, "COMP-1", "slappart0")
	denies(t, "another's partition", err)
	if c, err := node.Computer(ctx, "COMP-1"); err != nil || c.Partitions[0].Title != "mine" {
		t.Errorf(`c = %+v, err = %v; want no error and c.Partitions[0].Title == "mine"`, c, err)
	}
	denies(t, "another's supply", bob.Supply(ctx, "u", "COMP-1", proto.Available))
	if err := root.Supply(ctx, "u", "COMP-1", proto.Available); err != nil {
		t.Error(err)
	}
	_, err = g.as("COMP-2").ReportInstance(ctx, "COMP-1", "slappart0", proto.Started)
	denies(t, "another's instance", err)

	// An instance has its own, and the node another of its computer's.
	pair, err := node.Certificate(ctx, "COMP-1", "slappart0")
	if err != nil || !strings.Contains(pair.Certificate, "CERTIFICATE") || !strings.Contains(pair.Key, "PRIVATE KEY") {
		t.Fatalf(
			"pair = %+v, err = %v"+
				`; want no error and pair.Certificate with "CERTIFICATE" and pair.Key with "PRIVATE KEY"`,
			pair, err,
		)
	}
	second, err := node.Certificate(ctx, "COMP-1", "")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"instance.crt": pair.Certificate, "instance.key": pair.Key, "second.crt": second.Certificate,
		"second.key": second.Key,
	} {
		if err := os.WriteFile(filepath.Join(g.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.as("instance").SetConnection(ctx, "COMP-1", "slappart0", "", proto.Dictionary{"url": "x"}); err != nil {
		t.Error(err)
	}
	_, err = g.as("instance").Computer(ctx, "COMP-1")
	denies(t, "the computer of an instance", err)
	if _, err := g.as("second").Computer(ctx, "COMP-1"); err != nil {
		t.Error(err)
	}

	// Revoked by the command while the master runs, and by the node itself.
	if err := g.certificate("user", "ann", &certificateOptions{revoke: true}); err != nil {
		t.Fatal(err)
	}
	_, err = ann.Partition(ctx, "COMP-1", "slappart0")
	denies(t, "by what is revoked, on an open connection", err)
	_, err = g.as("ann").Partition(ctx, "COMP-1", "slappart0")
	denies(t, "by what is revoked", err)
	if err := node.RevokeCertificate(ctx, "COMP-1"); err != nil {
		t.Error(err)
	}
	_, err = g.as("second").Computer(ctx, "COMP-1")
	denies(t, "by a computer's that are revoked", err)

	// Of another authority, with a name that this one knows.
	other, err := authority.Open(filepath.Join(t.TempDir(), "ca"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, _, _, err := other.Sign("root")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"theirs.crt": theirs.Certificate, "theirs.key": theirs.Key} {
		if err := os.WriteFile(filepath.Join(g.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err = g.as("theirs").Computer(ctx, "COMP-1"); err == nil {
		t.Error("another authority makes administrators")
	}
}

// Where certificates are optional, who shows one is held to it.
func TestSlaposProxyOptional(t *testing.T) {
	g, ctx := newGuarded(t, "optional"), t.Context()
	if err := g.certificate("computer", "COMP-2", &certificateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := g.as("").Configure(ctx, configuration("COMP-1")); err != nil {
		t.Error(err)
	}
	denies(t, "with a certificate of another computer", g.as("COMP-2").Configure(ctx, configuration("COMP-1")))
}

func TestSlaposProxyCertificateCommand(t *testing.T) {
	dir := t.TempDir()
	file := proxyConfiguration(t, strings.Replace(proxyFile, "port = 0\n", "ca_directory = "+filepath.Join(dir, "ca")+"\n", 1))
	run := func(of, name string, o certificateOptions) (certificateView, error) {
		t.Helper()
		var out bytes.Buffer
		a := cli.NewApp(strings.NewReader(""), &out, io.Discard)
		a.JSON = true
		o.directory = dir
		err := runCertificate(t.Context(), sessionOf(a, file), of, name, &o)
		var view certificateView
		if err == nil && json.Unmarshal(out.Bytes(), &view) != nil {
			t.Errorf("out = %s; want an error or json.Unmarshal(out.Bytes(), &view) == nil", out.String())
		}
		return view, err
	}
	view, err := run("user", "ann", certificateOptions{})
	if err != nil || view.Name != "ann" || view.Authority != filepath.Join(dir, "ca", "ca.crt") {
		t.Errorf(
			"view = %+v, err = %v"+
				`; want no error and view.Name == "ann" and view.Authority == filepath.Join(dir, "ca", "ca.crt")`,
			view, err,
		)
	}
	if info, err := os.Stat(view.Key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("info = %v, err = %v; want no error and info.Mode().Perm() == 0o600", info, err)
	}
	if _, err := run("user", "ann", certificateOptions{}); !errors.Is(err, compute.ErrConflict) ||
		!strings.Contains(err.Error(), "is there already") {
		t.Errorf(`err = %v; want error compute.ErrConflict and err.Error() with "is there already"`, err)
	}
	for _, c := range []struct {
		of, name string
		o        certificateOptions
	}{
		{"robot", "x", certificateOptions{}}, {"computer", "x", certificateOptions{admin: true}},
		{"user", "x", certificateOptions{admin: true, revoke: true}}, {"user", "../x", certificateOptions{}},
	} {
		if _, err := run(c.of, c.name, c.o); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("c.of = %s %s: err = %v; want error compute.ErrInvalid", c.of, c.name, err)
		}
	}
	if view, err := run("user", "ann", certificateOptions{revoke: true}); err != nil || !view.Revoked || view.Key != "" {
		t.Errorf(`view = %+v, err = %v; want no error and view.Revoked and view.Key == ""`, view, err)
	}
}

// What others can reach knows whom it serves, unless it is said otherwise.
func TestSlaposTLSMode(t *testing.T) {
	for host, want := range map[string]string{
		"127.0.0.1": "off", "localhost": "off", "::1": "off", "0.0.0.0": "required", "::": "required",
		"192.0.2.1": "required", "master.example": "required",
	} {
		f, err := cfg.Parse("slapos.cfg", nil)
		if err != nil {
			t.Fatal(err)
		}
		if tls, err := readTLS(f, host); err != nil || tls.mode != want {
			t.Errorf("%s: tls.mode = %q, err = %v; want no error and tls.mode == want", host, tls.mode, err)
		}
		if f, err = cfg.Parse("slapos.cfg", []byte("[slapproxy]\ntls = off\nca_directory = /x\n")); err != nil {
			t.Fatal(err)
		}
		if tls, err := readTLS(f, host); err != nil || tls.mode != "off" || tls.directory != "/x" {
			t.Errorf("%s off: %+v, %v", host, tls, err)
		}
	}
	names := ownNames("0.0.0.0")
	if !slices.Contains(names, "127.0.0.1") || slices.Contains(names, "0.0.0.0") || !slices.Contains(ownNames("192.0.2.1"), "192.0.2.1") {
		t.Errorf(
			"names = %q"+
				`; want names with "127.0.0.1" and names without "0.0.0.0" and ownNames("192.0.2.1") with `+
				`"192.0.2.1"`,
			names,
		)
	}
}
