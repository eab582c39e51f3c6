package certificate_test

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
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/auth/certificate"
	"github.com/hostler-project/hostler/compute"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t *testing.T, name string, by *authority) *authority {
	t.Helper()
	a := &authority{t: t, next: 100}
	a.cert, a.key = a.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, by)
	return a
}

func (a *authority) make(c *x509.Certificate, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.next++
	c.SerialNumber = big.NewInt(a.next)
	c.NotBefore = time.Now().Add(-time.Hour)
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(time.Hour)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return out, key
}

// client makes a certificate for a client.
func (a *authority) client(c x509.Certificate) tls.Certificate {
	if c.ExtKeyUsage == nil {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	cert, key := a.make(&c, a)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// revoke makes a list of what is revoked, good for so long.
func (a *authority) revoke(good time.Duration, some ...tls.Certificate) []byte {
	a.t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(good)}
	for _, c := range some {
		l.RevokedCertificateEntries = append(
			l.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.Leaf.SerialNumber, RevocationTime: time.Now()},
		)
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// place is a controller with its files.
type place struct {
	t      *testing.T
	dir    string
	opt    certificate.Options
	files  *certificate.Files
	url    string
	server *authority
}

func (p *place) write(name string, data []byte) string {
	p.t.Helper()
	file := filepath.Join(p.dir, name)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return file
}

// own gives the controller a new certificate of its own.
func (p *place) own(name string) {
	p.t.Helper()
	cert, key := p.server.make(
		&x509.Certificate{Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, p.server,
	)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		p.t.Fatal(err)
	}
	p.opt.Cert = p.write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	p.opt.Key = p.write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func newPlace(t *testing.T, edit func(*place)) *place {
	t.Helper()
	p := &place{t: t, dir: t.TempDir(), server: newAuthority(t, "servers", nil)}
	p.own("first")
	edit(p)
	files, err := certificate.Load(p.opt)
	if err != nil {
		t.Fatal(err)
	}
	p.files = files
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, ok, err := files.Client(r.TLS)
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusForbidden)
		case ok:
			_, _ = io.WriteString(w, who.Name+" "+who.Serial)
		default:
			_, _ = io.WriteString(w, "nobody")
		}
	}))
	l := srv.Listener
	srv.Listener = tls.NewListener(l, files.TLS())
	srv.Config.ErrorLog = nil
	srv.Start()
	t.Cleanup(srv.Close)
	p.url = "https://" + l.Addr().String()
	return p
}

// browser is a client that keeps its connections.
func (p *place) browser(show ...tls.Certificate) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(p.server.cert)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(8)}}
	if len(show) > 0 { // whatever authorities the controller says that it trusts
		tr.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &show[0], nil }
	}
	p.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

func (p *place) ask(c *http.Client) string {
	answer, err := c.Get(p.url)
	if err != nil {
		return "error: " + err.Error()
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode == http.StatusForbidden {
		return "refused: " + string(text)
	}
	return strings.TrimSpace(string(text))
}

func (p *place) want(c *http.Client, text string) {
	p.t.Helper()
	if got := p.ask(c); !strings.HasPrefix(got, text) {
		p.t.Errorf("%q, want %q", got, text)
	}
}

func TestClient(t *testing.T) {
	ca, evil := newAuthority(t, "people", nil), newAuthority(t, "people", nil)
	p := newPlace(t, func(p *place) { p.opt.ClientCA = p.write("ca.pem", ca.pem()) })
	name := func(n string) x509.Certificate { return x509.Certificate{Subject: pkix.Name{CommonName: n}} }
	p.want(p.browser(), "nobody")
	ann := ca.client(name("ann"))
	p.want(p.browser(ann), "ann 6") // its serial, in hexadecimal
	p.want(p.browser(evil.client(name("ann"))), "refused: ")
	old := name("ann")
	old.NotAfter = time.Now().Add(-time.Minute)
	p.want(p.browser(ca.client(old)), "refused: ")
	wrong := name("ann")
	wrong.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	p.want(p.browser(ca.client(wrong)), "refused: ")
	for _, bad := range []string{"", "a b", "-ann", "ann\n", "ann\u200b", strings.Repeat("a", 129)} {
		p.want(p.browser(ca.client(name(bad))), "refused: ")
	}
	two := x509.Certificate{Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: []int{2, 5, 4, 3}, Value: "ann"}, {Type: []int{2, 5, 4, 3}, Value: "root"},
	}}}
	p.want(p.browser(ca.client(two)), "refused: ")

	deep := newAuthority(t, "below", ca)
	cert := deep.client(name("deep"))
	p.want(p.browser(cert), "refused: ")
	cert.Certificate = append(cert.Certificate, deep.cert.Raw)
	p.want(p.browser(cert), "deep ")
}

// TestBrief: a certificate that runs out while its connection is open counts no more.
func TestBrief(t *testing.T) {
	ca := newAuthority(t, "people", nil)
	p := newPlace(t, func(p *place) { p.opt.ClientCA = p.write("ca.pem", ca.pem()) })
	c := p.browser(ca.client(x509.Certificate{Subject: pkix.Name{CommonName: "ann"}, NotAfter: time.Now().Add(20 * time.Second)}))
	p.want(c, "ann ")
	for limit := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		got := p.ask(c)
		if strings.Contains(got, "expired") {
			break
		}
		if !strings.HasPrefix(got, "ann ") || time.Now().After(limit) {
			t.Fatalf(`got = %q; want strings.HasPrefix(got, "ann ") and !time.Now().After(limit)`, got)
		}
	}
}

func TestRevoked(t *testing.T) {
	ca := newAuthority(t, "people", nil)
	p := newPlace(t, func(p *place) {
		p.opt.ClientCA, p.opt.Revoked = p.write("ca.pem", ca.pem()), p.write("crl.pem", ca.revoke(time.Hour))
	})
	ann, bob := ca.client(
		x509.Certificate{Subject: pkix.Name{CommonName: "ann"}},
	), ca.client(x509.Certificate{Subject: pkix.Name{CommonName: "bob"}})
	annOpen, bobOpen := p.browser(ann), p.browser(bob)
	p.want(annOpen, "ann ")
	p.want(bobOpen, "bob ")
	reload := func() {
		t.Helper()
		if err := p.files.Reload(p.opt); err != nil {
			t.Fatal(err)
		}
	}
	p.write("crl.pem", ca.revoke(time.Hour, ann))
	p.want(annOpen, "ann ") // not read yet
	reload()
	if got := p.ask(annOpen); !strings.Contains(got, "revoked") {
		t.Errorf("on an open connection: %q", got)
	}
	annOpen.CloseIdleConnections() // its session may be taken up again
	p.want(annOpen, "refused: ")
	p.want(p.browser(ann), "refused: ")
	p.want(bobOpen, "bob ")

	p.write("crl.pem", ca.revoke(-time.Minute))
	reload()
	if got := p.ask(bobOpen); !strings.Contains(got, "ran out") {
		t.Errorf("by a list that ran out: %q", got)
	}
	block, _ := pem.Decode(ca.revoke(time.Hour))
	p.write("crl.pem", block.Bytes)
	reload()
	p.want(bobOpen, "bob ")

	below := newAuthority(t, "below", ca)
	cert := below.client(x509.Certificate{Subject: pkix.Name{CommonName: "deep"}})
	cert.Certificate = append(cert.Certificate, below.cert.Raw)
	p.want(p.browser(cert), "refused: ") // nobody says what is revoked of it

	for what, text := range map[string][]byte{
		"signed by none": newAuthority(t, "people", nil).revoke(time.Hour), "no list": []byte("x"), "no such": nil,
	} {
		if text == nil {
			_ = os.Remove(p.opt.Revoked)
		} else {
			p.write("crl.pem", text)
		}
		if err := p.files.Reload(p.opt); !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: err = %v; want error compute.ErrInvalid and err.Error() with what", what, err)
		}
	}
	p.want(bobOpen, "bob ") // what is wrong changes nothing
}

// TestReload: new certificates and authorities without a new listener.
func TestReload(t *testing.T) {
	ca, next := newAuthority(t, "people", nil), newAuthority(t, "people of tomorrow", nil)
	p := newPlace(t, func(p *place) {})
	ann := ca.client(x509.Certificate{Subject: pkix.Name{CommonName: "ann"}})
	open := p.browser(ann)
	p.want(open, "nobody") // not asked for
	p.opt.ClientCA = p.write("ca.pem", ca.pem())
	if err := p.files.Reload(p.opt); err != nil {
		t.Fatal(err)
	}
	open.CloseIdleConnections()
	p.want(open, "ann ")
	p.own("second")
	p.write("ca.pem", next.pem())
	if err := p.files.Reload(p.opt); err != nil {
		t.Fatal(err)
	}
	if got := p.ask(open); !strings.Contains(got, "unknown authority") {
		t.Errorf("of an authority that is trusted no more, on an open connection: %q", got)
	}
	fresh := p.browser(next.client(x509.Certificate{Subject: pkix.Name{CommonName: "bob"}}))
	answer, err := fresh.Get(p.url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got := answer.TLS.PeerCertificates[0].Subject.CommonName; got != "second" {
		t.Errorf("it shows the certificate of %q", got)
	}
	p.write("ca.pem", []byte("nothing"))
	if err := p.files.Reload(p.opt); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("authorities that are none: %v", err)
	}
	p.want(fresh, "bob ")
}

func TestFields(t *testing.T) {
	ca := newAuthority(t, "people", nil)
	u, err := url.Parse("spiffe://example.org/ci")
	if err != nil {
		t.Fatal(err)
	}
	c := ca.client(x509.Certificate{
		Subject: pkix.Name{CommonName: "x"}, EmailAddresses: []string{"Ann@Example.org"},
		DNSNames: []string{"ci.example.org"}, URIs: []*url.URL{u},
	})
	p := newPlace(t, func(p *place) { p.opt.ClientCA = p.write("ca.pem", ca.pem()) })
	for field, name := range map[string]string{
		"": "x", "common-name": "x", "email": "ann@example.org", "dns": "ci.example.org",
		"uri": "spiffe://example.org/ci",
	} {
		p.opt.Field = field
		if err := p.files.Reload(p.opt); err != nil {
			t.Fatal(err)
		}
		p.want(p.browser(c), name+" ")
	}
	p.opt.Field = "shoe size"
	if err := p.files.Reload(p.opt); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("err = %v; want error compute.ErrInvalid", err)
	}
	p.opt.Field, p.opt.ClientCA = "", p.opt.Cert
	if err := p.files.Reload(p.opt); !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), "no authority's") {
		t.Errorf(`err = %v; want error compute.ErrInvalid and err.Error() with "no authority's"`, err)
	}
}
