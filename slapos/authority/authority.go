// Package authority is a SlapOS master's own certificate authority, in a directory. It signs the
// certificates by which nodes, users and instances identify themselves to the master, and the one
// that the master shows.
//
// A reader of the directory can pose as any of them. Several masters of one store have copies of
// it. The authority keeps no list of its certificates: the master does, and revokes by it.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/proto"
)

// How long certificates are good for. An authority's own must be given to all that trust it, so it
// is for long; a master signs its own anew by itself.
const (
	forAuthority = 20 * 365 * 24 * time.Hour
	forClient    = 2 * 365 * 24 * time.Hour
	forServer    = 90 * 24 * time.Hour
)

// early is how long before they are signed certificates are good, for clocks that are slow.
const early = time.Hour

// An Authority signs certificates. It may be used concurrently.
type Authority struct {
	// File is the authority's own certificate, in PEM: by it clients know the master.
	File string

	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	roots *x509.CertPool

	mu     sync.Mutex
	known  map[[32]byte]client // clients seen before, by the certificate's sum
	shown  *tls.Certificate    // the master's own
	renews time.Time           // when another of these is signed
}

type client struct {
	serial string
	until  time.Time
}

// maxKnown is how many certificates are remembered.
const maxKnown = 4096

func failed(op, name string, kind, err error, hint string) error {
	return &compute.Error{Op: op, ID: compute.ID(name), Kind: kind, Err: err, Hint: hint}
}

// Open returns the authority in a directory. It makes a missing one, with a key that only its owner
// can read.
func Open(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, failed("authority", dir, compute.ErrFailed, err, "ca_directory names another directory")
	}
	a := &Authority{File: filepath.Join(dir, "ca.crt"), roots: x509.NewCertPool(), known: map[[32]byte]client{}}
	// the key and the certificate in one file: both or none
	file := filepath.Join(dir, "ca.pem")
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		if err = create(file); err == nil {
			text, err = os.ReadFile(file)
		}
	}
	if err != nil {
		return nil, failed("authority", file, compute.ErrFailed, err, "")
	}
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, failed(
			"authority", file, compute.ErrDenied, errors.New("others can read the key in it"),
			"chmod 600, and if somebody may have read it, take another directory and sign all certificates anew",
		)
	}
	pair, err := tls.X509KeyPair(text, text)
	if err == nil {
		a.cert = pair.Leaf
		var ok bool
		if a.key, ok = pair.PrivateKey.(*ecdsa.PrivateKey); !ok || !a.cert.IsCA {
			err = errors.New("its key is no ECDSA key, or its certificate no authority's")
		}
	}
	if err != nil {
		return nil, failed(
			"authority", file, compute.ErrInvalid, fmt.Errorf("it is no authority's certificate with its key: %w", err),
			"take the copy that is right; without one, move it away, and sign all certificates anew",
		)
	}
	a.roots.AddCert(a.cert)
	public := encode("CERTIFICATE", a.cert.Raw)
	if now, err := os.ReadFile(a.File); err != nil || string(now) != string(public) {
		if err := put(a.File, public, 0o644, true); err != nil {
			return nil, failed("authority", a.File, compute.ErrFailed, err, "")
		}
	}
	return a, nil
}

// create makes the file of a new authority, unless another process has made it.
func create(file string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial := newSerial()
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "SlapOS master " + serial.Text(16)[:8]},
		NotBefore: time.Now().Add(-early), NotAfter: time.Now().Add(forAuthority),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	err = put(file, append(encode("PRIVATE KEY", private), encode("CERTIFICATE", der)...), 0o600, false)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}

// put writes a file whole, or not at all. Without replace, an existing file is os.ErrExist.
func put(file string, text []byte, mode os.FileMode, replace bool) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if replace {
		err = os.Rename(f.Name(), file)
	} else {
		err = os.Link(f.Name(), file)
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func newSerial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[0] = b[0]&0x3f | 0x40
	return new(big.Int).SetBytes(b)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// sign makes a new key and signs c for it. It sets the serial number and the beginning, and c
// never outlives the authority.
func (a *Authority) sign(c *x509.Certificate) (der []byte, key *ecdsa.PrivateKey, err error) {
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, nil, err
	}
	c.SerialNumber, c.NotBefore, c.KeyUsage = newSerial(), time.Now().Add(-early), x509.KeyUsageDigitalSignature
	if c.NotAfter.After(a.cert.NotAfter) {
		c.NotAfter = a.cert.NotAfter
	}
	der, err = x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	return der, key, err
}

// Sign makes a certificate with its key, in PEM, by which a client proves that name. It returns its
// unique serial number in hexadecimal digits, and the end of its validity.
func (a *Authority) Sign(name string) (pair proto.Certificate, serial string, until time.Time, err error) {
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(forClient),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, key, err := a.sign(c)
	if err != nil {
		return pair, "", until, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair, "", until, err
	}
	pair = proto.Certificate{Certificate: string(encode("CERTIFICATE", der)), Key: string(encode("PRIVATE KEY", private))}
	return pair, c.SerialNumber.Text(16), c.NotAfter.UTC().Truncate(time.Second), nil
}

// Client returns the serial number of the peer's certificate, if this authority has signed it and
// it has not expired. ok: a certificate is shown; the error, of kind compute.ErrDenied, says why it
// is not valid.
func (a *Authority) Client(c *tls.ConnectionState) (serial string, ok bool, err error) {
	if c == nil || len(c.PeerCertificates) == 0 {
		return "", false, nil
	}
	leaf, now := c.PeerCertificates[0], time.Now()
	sum := sha256.Sum256(leaf.Raw)
	a.mu.Lock()
	seen, known := a.known[sum]
	a.mu.Unlock()
	if known && now.Before(seen.until) {
		return seen.serial, true, nil
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: a.roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return "", true, failed("certificate", leaf.Subject.CommonName, compute.ErrDenied, err, "ask for a certificate of this master")
	}
	seen = client{serial: leaf.SerialNumber.Text(16), until: leaf.NotAfter}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.known) >= maxKnown {
		clear(a.known)
	}
	a.known[sum] = seen
	return seen.serial, true, nil
}

// TLS is the configuration of a master's listener. It asks for client certificates and takes any,
// as they are checked with each request. own is the server's certificate. With nil, this authority
// signs one for hosts, names or addresses, and renews it in time.
func (a *Authority) TLS(own *tls.Certificate, hosts []string) *tls.Config {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, ClientAuth: tls.RequestClientCert,
		ClientCAs: a.roots, SessionTicketsDisabled: true,
	}
	if own != nil {
		config.Certificates = []tls.Certificate{*own}
		return config
	}
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.shown != nil && time.Now().Before(a.renews) {
			return a.shown, nil
		}
		c := &x509.Certificate{
			Subject: pkix.Name{CommonName: "SlapOS master"}, NotAfter: time.Now().Add(forServer),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}
		for _, host := range hosts {
			if ip := net.ParseIP(host); ip != nil {
				c.IPAddresses = append(c.IPAddresses, ip)
			} else {
				c.DNSNames = append(c.DNSNames, host)
			}
		}
		der, key, err := a.sign(c)
		if err != nil {
			return nil, err
		}
		a.shown, a.renews = &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}, time.Now().Add(forServer/2)
		return a.shown, nil
	}
	return config
}
