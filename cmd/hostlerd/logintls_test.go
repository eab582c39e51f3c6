package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/client/device"
)

// signer signs certificates.
type signer struct {
	l    *land
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newSigner(l *land, name string) *signer {
	s := &signer{l: l}
	s.sign(name, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	})
	return s
}

// sign makes NAME.pem and NAME.key; the first time its own.
func (s *signer) sign(name string, edit func(*x509.Certificate)) *big.Int {
	s.l.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.l.t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		s.l.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour),
	}
	edit(c)
	if s.cert == nil {
		s.cert, s.key = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, s.cert, &key.PublicKey, s.key)
	if err != nil {
		s.l.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.l.t.Fatal(err)
	}
	if c == s.cert {
		if s.cert, err = x509.ParseCertificate(der); err != nil {
			s.l.t.Fatal(err)
		}
	}
	s.l.file(name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	s.l.file(name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	return serial
}

// person is somebody's certificate.
func (s *signer) person(name string) *big.Int {
	return s.sign(name, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
}

// revoke writes the list of those that are revoked.
func (s *signer) revoke(some ...*big.Int) {
	s.l.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, serial := range some {
		list.RevokedCertificateEntries = append(
			list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: time.Now()},
		)
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, s.cert, s.key)
	if err != nil {
		s.l.t.Fatal(err)
	}
	s.l.file("home/.config/hostler/people.crl", string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})))
}

// TestLoginTLS: a private authority, clients' certificates, and both exchanged while it serves.
func TestLoginTLS(t *testing.T) {
	// its controller stays beside: this one has its own socket
	l := newLand(t, "allowed-domains = example.org\n")
	servers := newSigner(l, "servers")
	serve := func() {
		servers.sign("serve", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	}
	serve()
	people := newSigner(l, "people")
	ann := people.person("ann")
	people.person("root")
	people.revoke()
	l.configure("allowed-domains = example.org\nclient-ca = ../../../people.pem\nclient-crl = people.crl\n")
	home := filepath.Join(l.dir, "secure")
	env := append(
		append(l.far("secure"), environment(t, home)...), "XDG_RUNTIME_DIR="+filepath.Join(l.dir, "r"),
		"XDG_CONFIG_HOME="+filepath.Join(l.dir, "home/.config"), "PAGE_SECRET=of the page",
	)
	l.file("r/.keep", "")
	url := startController(t, env, l.dir, filepath.Join(l.dir, "r"), t.Cleanup, "--listen", "127.0.0.1:0", "--no-fill",
		"--tls-cert", filepath.Join(l.dir, "serve.pem"), "--tls-key", filepath.Join(l.dir, "serve.key"))
	url = "https" + strings.TrimPrefix(url, "http")
	in := func(name string) string { return filepath.Join(l.dir, name) }

	user := l.far("ann")
	_, errs := l.run(user, 1, "", "login", url)
	contains(t, errs, "not trusted here")
	contains(t, errs, "--ca FILE")
	_, errs = l.run(user, 1, "", "--ca", in("people.pem"), "login", url)
	contains(t, errs, "not trusted here")
	_, errs = l.run(user, 1, "", "--ca", in("servers.pem"), "login", strings.Replace(url, "127.0.0.1", "localhost", 1))
	contains(t, errs, "not for localhost")
	_, errs = l.run(user, 2, "", "--ca", in("ann.key"), "login", url)
	contains(t, errs, "no certificate in PEM")

	// With a certificate: no sign-in, and it is kept where it is.
	out, _ := l.run(user, 0, "", "--ca", "servers.pem", "login", "--cert", "ann.pem", "--key", "ann.key", url)
	contains(t, out, "You are ann at "+url)
	name, _ := l.run(user, 0, "", "-C", "/", "acquire", "-s", "box")
	out, _ = l.run(user, 0, "", "login", "--status")
	contains(t, out, "certificate")
	out, _ = l.run(user, 0, "", "run", strings.TrimSpace(name), "--", "echo", "mine")
	contains(t, out, "mine")
	third := append(l.far("third"), "HOSTLER_CERT="+in("ann.pem"), "HOSTLER_KEY="+in("ann.key"))
	out, _ = l.run(third, 0, "", "--controller", url, "--ca", "servers.pem", "ssh-config")
	contains(t, out, "--ca "+in("servers.pem")) // for ssh's command, wherever that runs
	other := append(l.far("other"), "HOSTLER_CA="+in("servers.pem"), "HOSTLER_CONTROLLER="+url)
	_, errs = l.run(other, 7, "", "status")
	contains(t, errs, "hostler login "+url)
	_, errs = l.run(append(other, "HOSTLER_CERT="+in("root.pem"), "HOSTLER_KEY="+in("root.key")), 7, "", "status")
	contains(t, errs, "not to be had by a certificate")
	_, errs = l.run(append(other, "HOSTLER_CERT="+in("root.pem")), 2, "", "status")
	contains(t, errs, "go together")
	stranger := newSigner(l, "strangers")
	stranger.person("eve")
	_, errs = l.run(append(other, "HOSTLER_CERT="+in("eve.pem"), "HOSTLER_KEY="+in("eve.key")), 7, "", "status")
	contains(t, errs, "unknown authority")

	// And with the provider, over TLS of a private authority.
	view, _ := l.login(append(l.far("bob"), "HOSTLER_CA="+in("servers.pem")), 0, "ann", true, url)
	if view.Name != "ann@example.org" {
		t.Errorf(`view = %+v; want view.Name == "ann@example.org"`, view)
	}

	// Revoked, and the controller's own renewed.
	people.revoke(ann)
	serve()
	l.run(env, 0, "", "reload")
	_, errs = l.run(user, 7, "", "status")
	contains(t, errs, "is revoked")
	l.run(l.far("bob"), 0, "", "status")
	l.file("home/.config/hostler/people.crl", "nothing")
	_, errs = l.run(env, 2, "", "reload")
	contains(t, errs, "people.crl")
	l.run(user, 7, "", "status") // what is wrong changes nothing

	_, errs = l.run(env, 2, "", "serve", "--socket", in("x"), "--client-ca", in("people.pem"))
	contains(t, errs, "by TLS alone")
}

// TestProofOnce: what a provider says of somebody is good once, also for those who show it at the
// same time.
func TestProofOnce(t *testing.T) {
	l := newLand(t, "allowed-domains = example.org\n")
	c, err := client.New(client.Options{URL: l.url})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	how, err := c.SignIn().How(t.Context())
	if err != nil || how.Issuer != l.at.URL || how.ClientID != "cli" {
		t.Fatalf(`how = %v, err = %v; want no error and how.Issuer == l.at.URL and how.ClientID == "cli"`, how, err)
	}
	flow, err := device.Begin(t.Context(), device.Options{Issuer: how.Issuer, ClientID: how.ClientID, Scopes: how.Scopes})
	if err != nil {
		t.Fatal(err)
	}
	l.at.Type(flow.Code, "ann", true)
	got, err := flow.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	proof := api.Proof{IDToken: got.ID, AccessToken: got.Access, Verifier: got.Verifier}
	var (
		all sync.WaitGroup
		mu  sync.Mutex
		in  []string
	)
	for range 8 {
		all.Go(func() {
			if session, err := c.SignIn().Exchange(t.Context(), proof); err == nil {
				mu.Lock()
				in = append(in, session.Token)
				mu.Unlock()
			} else if !strings.Contains(err.Error(), "shown before") {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(in) != 1 {
		t.Errorf("%d came in by one proof", len(in))
	}
	l.run(l.env, 0, "", "reload")
	if _, err := c.SignIn().Exchange(t.Context(), proof); err == nil {
		t.Error("it is good again after reload")
	}
	answer, err := http.Get(l.url + "/v1/login")
	if err != nil {
		t.Fatal(err)
	}
	var told map[string]any
	if err := json.Unmarshal([]byte(read(t, answer)), &told); err != nil || len(told) != 3 {
		t.Errorf("strangers are told %v, %v", told, err)
	}
}
