package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// authority signs certificates, and is the file with its own.
type authority struct {
	dir, file string
	cert      *x509.Certificate
	key       *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.file, _ = a.sign(t, "authority", nil)
	return a
}

// sign makes a certificate with its key, as files.
func (a *authority) sign(t *testing.T, name string, hosts []net.IP) (certFile, keyFile string) {
	t.Helper()
	return a.signUntil(t, name, hosts, time.Now().Add(24*time.Hour))
}

func (a *authority) signUntil(t *testing.T, name string, hosts []net.IP, end time.Time) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IPAddresses: hosts,
		NotBefore: end.Add(-48 * time.Hour), NotAfter: end, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	parent, signer := a.cert, a.key
	if parent == nil {
		template.IsCA, template.KeyUsage, template.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert == nil {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		a.key = key
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(suffix, kind string, der []byte) string {
		file := filepath.Join(a.dir, name+suffix)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write(".crt", "CERTIFICATE", der), write(".key", "PRIVATE KEY", private)
}

func TestClientTLS(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	cert, key := a.sign(t, "COMP-1", nil)
	strangerCert, strangerKey := other.sign(t, "COMP-1", nil)
	serverCert, serverKey := a.sign(t, "master", []net.IP{net.IPv4(127, 0, 0, 1)})
	pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
	if err != nil {
		t.Fatal(err)
	}
	known := x509.NewCertPool()
	known.AddCert(a.cert)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.TLS.PeerCertificates[0].Subject.CommonName))
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: known}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)

	for _, c := range []struct {
		name string
		o    client.Options
		kind error // nil: answered
	}{
		{"both known", client.Options{CAFile: a.file, CertFile: cert, KeyFile: key}, nil},
		{"as the reference does", client.Options{Insecure: true, CertFile: cert, KeyFile: key}, nil},
		{"another's master", client.Options{CAFile: other.file, CertFile: cert, KeyFile: key}, client.ErrUntrusted},
		{"an authority that the machine does not know", client.Options{CertFile: cert, KeyFile: key}, client.ErrUntrusted},
		{"without a certificate", client.Options{CAFile: a.file}, client.ErrUntrusted},
		{
			"with another authority's certificate",
			client.Options{CAFile: a.file, CertFile: strangerCert, KeyFile: strangerKey}, client.ErrUntrusted,
		},
		{"no TLS there", client.Options{CAFile: a.file, URL: strings.Replace(plain.URL, "http", "https", 1)}, client.ErrUntrusted},
	} {
		if c.o.URL == "" {
			c.o.URL = server.URL
		}
		got, err := clientOf(t, c.o).RunID(t.Context())
		if !errors.Is(err, c.kind) || c.kind == nil && got != "COMP-1" {
			t.Errorf(`%s: got = %q, err = %v; want error c.kind and (c.kind != nil or got == "COMP-1")`, c.name, got, err)
		}
	}

	missing := filepath.Join(t.TempDir(), "missing")
	for says, o := range map[string]client.Options{
		"go together":          {CertFile: cert},
		"one of the two files": {KeyFile: key},
		missing:                {CertFile: missing, KeyFile: key},
		"private key does not": {CertFile: cert, KeyFile: strangerKey},
		"holds no certificate": {CAFile: key},
		"authorities":          {CAFile: missing},
	} {
		o.URL = server.URL
		if _, err := client.New(o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want %q", err, says)
		}
	}
}

// A client whose certificate has expired, or was revoked, says so, and goes on with the next one as
// soon as that is in the files.
func TestClientCertificateReplaced(t *testing.T) {
	a := newAuthority(t)
	serverCert, serverKey := a.sign(t, "master", []net.IP{net.IPv4(127, 0, 0, 1)})
	pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
	if err != nil {
		t.Fatal(err)
	}
	known := x509.NewCertPool()
	known.AddCert(a.cert)
	var mu sync.Mutex
	revoked, denied := map[string]bool{}, map[string]bool{}
	serial := func(certs []*x509.Certificate) string { return certs[0].SerialNumber.String() }
	in := func(set map[string]bool, certs []*x509.Certificate) bool {
		mu.Lock()
		defer mu.Unlock()
		return set[serial(certs)]
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if in(denied, r.TLS.PeerCertificates) {
			http.Error(w, "revoked", http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte(serial(r.TLS.PeerCertificates)))
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs: known, VerifyConnection: func(s tls.ConnectionState) error {
			if in(revoked, s.PeerCertificates) {
				return errors.New("it was revoked")
			}
			return nil
		}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)

	cert, key := a.signUntil(t, "COMP-1", nil, time.Now().Add(-time.Minute))
	c := clientOf(t, client.Options{URL: server.URL, CAFile: a.file, CertFile: cert, KeyFile: key})
	ask := func(kind error, says string) string {
		t.Helper()
		got, err := c.RunID(t.Context())
		if !errors.Is(err, kind) || kind != nil && !strings.Contains(err.Error(), says) {
			t.Fatalf("%q, %v; want %v with %q", got, err, kind, says)
		}
		return got
	}
	ask(client.ErrUntrusted, "expired certificate")
	a.sign(t, "COMP-1", nil) // in the same files
	mine := ask(nil, "")
	for what, set := range map[string]map[string]bool{"certificate": revoked, "revoked": denied} {
		mu.Lock()
		set[mine] = true
		mu.Unlock()
		kind := client.ErrDenied
		if what == "certificate" {
			server.CloseClientConnections()
			kind = client.ErrUntrusted
		}
		ask(kind, what)
		// as long as it is not whole
		if err := os.WriteFile(cert, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		ask(kind, what)
		a.sign(t, "COMP-1", nil)
		next := ask(nil, "")
		if next == mine {
			t.Error("it is the old one still")
		}
		mine = next
	}
}

// What was asked by https is not asked again without.
func TestClientRedirects(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.sign(t, "master", []net.IP{net.IPv4(127, 0, 0, 1)})
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/loop" {
			http.Redirect(w, r, "/loop", http.StatusFound)
			return
		}
		_, _ = w.Write([]byte("there"))
	}))
	t.Cleanup(plain.Close)
	to := plain.URL
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/getHateoasUrl" {
			_, _ = w.Write([]byte(plain.URL))
			return
		}
		http.Redirect(w, r, to, http.StatusFound)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(server.Close)
	c := clientOf(t, client.Options{URL: server.URL, CAFile: a.file})
	if got, err := c.RunID(t.Context()); err == nil || !strings.Contains(err.Error(), "from https to http") {
		t.Errorf(`got = %q, err = %v; want an error and err.Error() with "from https to http"`, got, err)
	}
	_, err = c.Hypermedia().Form(t.Context(), "/x")
	if !errors.Is(err, proto.ErrMalformed) || !strings.Contains(err.Error(), "a link to http") {
		t.Error(err)
	}
	first := httptest.NewServer(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }),
	)
	t.Cleanup(first.Close)
	c = clientOf(t, client.Options{URL: first.URL})
	if got, err := c.RunID(t.Context()); got != "there" || err != nil {
		t.Errorf(`got = %q, err = %v; want got == "there" and no error`, got, err)
	}
	// a master that has its client ask somebody else
	to = strings.Replace(plain.URL, "127.0.0.1", "localhost", 1)
	if got, err := c.RunID(t.Context()); err == nil || !strings.Contains(err.Error(), "another host") {
		t.Errorf(`got = %q, err = %v; want an error and err.Error() with "another host"`, got, err)
	}
	to = plain.URL + "/loop"
	if _, err := c.RunID(t.Context()); err == nil || !strings.Contains(err.Error(), "10 redirects") {
		t.Error(err)
	}
}
