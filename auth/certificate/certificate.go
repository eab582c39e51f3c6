package certificate

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Files are the certificates of a controller. All methods may be called concurrently.
type Files struct {
	now   atomic.Pointer[state]
	first []os.FileInfo // the files before they were first read, so that a later change is seen
}

// Load reads the files that opt names.
func Load(opt Options) (*Files, error) {
	f := &Files{first: opt.stat()}
	return f, f.Reload(opt)
}

// Reload reads the files again. After an error the previous ones stay in use.
func (f *Files) Reload(opt Options) error {
	s, err := read(opt)
	if err == nil {
		f.now.Store(s)
	}
	return err
}

// TLS returns the configuration of a listener. It follows later calls of Reload.
func (f *Files) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.now.Load().config, nil },
	}
}

// Leaf returns the certificate that the controller shows now.
func (f *Files) Leaf() *x509.Certificate { return f.now.Load().config.Certificates[0].Leaf }

// Client is a caller that is known by a certificate.
type Client struct {
	Name   string
	Serial string // the certificate's, in hexadecimal digits
	until  time.Time
}

// Client identifies the other end of a connection. If ok is false, it showed no certificate or no
// ClientCA is configured. The error, of kind compute.ErrDenied, says why a certificate does not
// count.
func (f *Files) Client(c *tls.ConnectionState) (who Client, ok bool, err error) {
	s := f.now.Load()
	if c == nil || len(c.PeerCertificates) == 0 || s.roots == nil {
		return Client{}, false, nil
	}
	who, err = s.client(c.PeerCertificates)
	return who, true, err
}

// list is an authority's list of revoked certificates (CRL).
type list struct {
	issuer  *x509.Certificate
	until   time.Time
	serials map[string]bool // in decimal digits
}

// known caches the clients whose certificates one state has checked, by the SHA-256 of the
// certificate.
type known struct {
	mu  sync.Mutex
	all map[[32]byte]Client
}

// maxKnown is how many clients are cached; then the cache is emptied.
const maxKnown = 4096

// refused is the error for a certificate that does not count.
func refused(format string, args ...any) error {
	return &compute.Error{
		Op: "certificate", Kind: compute.ErrDenied, Err: fmt.Errorf(format, args...),
		Hint: "ask who signs the certificates for another one",
	}
}

// client checks a chain of certificates and returns the client that the first one names.
func (s *state) client(chain []*x509.Certificate) (Client, error) {
	sum := sha256.Sum256(chain[0].Raw)
	s.known.mu.Lock()
	who, seen := s.known.all[sum]
	s.known.mu.Unlock()
	if seen && time.Now().Before(who.until) {
		return who, nil
	}
	who, err := s.check(chain)
	if err != nil {
		return Client{}, err
	}
	s.known.mu.Lock()
	defer s.known.mu.Unlock()
	if len(s.known.all) >= maxKnown {
		s.known.all = nil
	}
	if s.known.all == nil {
		s.known.all = map[[32]byte]Client{}
	}
	s.known.all[sum] = who
	return who, nil
}

// check verifies a chain against the authorities and the lists of revoked certificates.
func (s *state) check(chain []*x509.Certificate) (Client, error) {
	leaf := chain[0]
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	paths, err := leaf.Verify(x509.VerifyOptions{
		Roots: s.roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return Client{}, refused("the certificate: %w", err)
	}
	var why error
	for _, path := range paths {
		until, err := s.unrevoked(path)
		if err != nil {
			why = err
			continue
		}
		name, err := s.name(leaf)
		return Client{Name: name, Serial: leaf.SerialNumber.Text(16), until: until}, err
	}
	return Client{}, why
}

// unrevoked returns until when a verified path is valid. It is the earliest end of its certificates
// and of their lists of revoked certificates.
func (s *state) unrevoked(path []*x509.Certificate) (until time.Time, err error) {
	until = path[0].NotAfter
	for i, c := range path {
		if c.NotAfter.Before(until) {
			until = c.NotAfter
		}
		if i == len(path)-1 {
			break
		}
		listed := false
		for _, l := range s.lists {
			if !l.issuer.Equal(path[i+1]) {
				continue
			}
			listed = true
			switch {
			case l.serials[c.SerialNumber.String()]:
				return until, refused("the certificate %s is revoked", c.SerialNumber.Text(16))
			case !l.until.IsZero() && time.Now().After(l.until):
				return until, &compute.Error{Op: "certificate", Kind: compute.ErrDenied,
					Err: fmt.Errorf(
						"the list of revoked certificates of %s ran out at %s", l.issuer.Subject,
						l.until.Format(time.RFC3339),
					),
					Hint: "an administrator puts a new one there, and: hostler reload"}
			case !l.until.IsZero() && l.until.Before(until):
				until = l.until
			}
		}
		if i == 0 && s.strict && !listed {
			return until, refused("there is no list of revoked certificates of %s", path[1].Subject)
		}
	}
	return until, nil
}

// name returns the value of the field that names clients. There must be exactly one.
func (s *state) name(c *x509.Certificate) (string, error) {
	var values []string
	switch s.field {
	case "email":
		for _, v := range c.EmailAddresses {
			values = append(values, strings.ToLower(v))
		}
	case "dns":
		for _, v := range c.DNSNames {
			values = append(values, strings.ToLower(v))
		}
	case "uri":
		for _, v := range c.URIs {
			values = append(values, v.String())
		}
	default:
		for _, v := range c.Subject.Names {
			if v.Type.Equal([]int{2, 5, 4, 3}) {
				text, _ := v.Value.(string)
				values = append(values, text)
			}
		}
	}
	if len(values) != 1 {
		return "", refused("the certificate has %d values of %s, and one is needed", len(values), s.field)
	}
	if err := goodName(values[0], s.field == "uri"); err != nil {
		return "", refused("the certificate's %s %.60q: %w", s.field, values[0], err)
	}
	return values[0], nil
}

// goodName returns why a text is no valid name. Only characters that cannot be mistaken are
// allowed.
func goodName(name string, uri bool) error {
	more := ".-_+@"
	if uri {
		more += ":/"
	}
	if name == "" || len(name) > 128 || strings.HasPrefix(name, "-") || strings.HasPrefix(name, ".") {
		return errors.New("no name here")
	}
	if strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(more, r)
	}) {
		return errors.New("letters, digits and " + more + " are in names here")
	}
	return nil
}
