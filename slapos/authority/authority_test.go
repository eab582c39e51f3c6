package authority_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/authority"
	"github.com/hostler-project/hostler/slapos/proto"
)

func open(t *testing.T, dir string) *authority.Authority {
	t.Helper()
	a, err := authority.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Of many who find no authority one makes it, its key is its owner's alone, and all have the same.
func TestOpenTogether(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "ca")
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			a, err := authority.Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			text, err := os.ReadFile(a.File)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			seen[string(text)] = true
		})
	}
	wg.Wait()
	if len(seen) != 1 {
		t.Errorf("%d authorities", len(seen))
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 2 {
		t.Errorf("names = %v, err = %v; want no error and len(names) == 2", names, err)
	}
	info, err := os.Stat(filepath.Join(dir, "ca.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("info.Mode() = %v, err = %v; want no error and info.Mode().Perm() == 0o600", info.Mode(), err)
	}
	public, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil || strings.Contains(string(public), "PRIVATE") {
		t.Error("the key stands in what everybody may read", err)
	}
}

func TestOpenBad(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	file := filepath.Join(dir, "ca.pem")
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := authority.Open(dir); !errors.Is(err, compute.ErrDenied) || !strings.Contains(err.Error(), "others can read the key") {
		t.Errorf(`err = %v; want error compute.ErrDenied and err.Error() with "others can read the key"`, err)
	}
	if err := errors.Join(os.WriteFile(file, []byte("nothing"), 0o600), os.Chmod(file, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := authority.Open(dir); !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), "no authority's certificate") {
		t.Errorf(`err = %v; want error compute.ErrInvalid and err.Error() with "no authority's certificate"`, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := authority.Open(filepath.Join(dir, "file")); err == nil {
		t.Error("a file is a directory")
	}
}

// keyPair is a certificate as a client shows it.
func keyPair(t *testing.T, p proto.Certificate) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair([]byte(p.Certificate), []byte(p.Key))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// A client is known by what the authority has signed, by nothing else, and knows the master by the
// authority's own certificate.
func TestClient(t *testing.T) {
	a, other := open(t, t.TempDir()), open(t, t.TempDir())
	answers := make(chan string, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		serial, ok, err := a.Client(r.TLS)
		switch {
		case errors.Is(err, compute.ErrDenied):
			serial = "denied"
		case err != nil:
			serial = err.Error()
		case !ok:
			serial = "nobody"
		}
		answers <- serial
	}))
	srv.Listener = tls.NewListener(srv.Listener, a.TLS(nil, []string{"127.0.0.1", "master.example"}))
	srv.Start()
	defer srv.Close()
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(a.File)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(show ...tls.Certificate) string {
		t.Helper()
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(public)
		config := &tls.Config{RootCAs: roots}
		if len(show) > 0 {
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &show[0], nil }
		}
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
		defer c.CloseIdleConnections()
		answer, err := c.Get("https://127.0.0.1:" + port)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return <-answers
	}
	mine, serial, until, err := a.Sign("ann")
	if err != nil {
		t.Fatal(err)
	}
	theirs, _, _, err := other.Sign("ann")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is remembered
		if got := ask(keyPair(t, mine)); got != serial {
			t.Errorf("%q, not %q", got, serial)
		}
	}
	if got := ask(); got != "nobody" {
		t.Errorf("without a certificate: %q", got)
	}
	if got := ask(keyPair(t, theirs)); got != "denied" {
		t.Errorf("of another authority: %q", got)
	}
	block, _ := pem.Decode([]byte(mine.Certificate))
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil || leaf.Subject.CommonName != "ann" || !leaf.NotAfter.Equal(until) || leaf.IsCA {
		t.Errorf(
			"leaf = %+v, err = %v"+
				`; want no error and leaf.Subject.CommonName == "ann" and leaf.NotAfter.Equal(until) and `+
				"!leaf.IsCA",
			leaf, err,
		)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(public)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err == nil {
		t.Error("a client's certificate makes a server")
	}
	// What the authority signs for the master makes nobody a client.
	shown, err := a.TLS(nil, nil).GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(*shown); got != "denied" {
		t.Errorf("the master's own certificate: %q", got)
	}
	again := open(t, filepath.Dir(a.File)) // the same after a start
	if _, next, _, err := again.Sign("ann"); err != nil || next == serial {
		t.Errorf("next = %q, err = %v; want no error and next != serial", next, err)
	}
}
