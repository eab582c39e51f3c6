package certificate

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Public is what a process without the controller's key needs to speak TLS in its name.
type Public struct {
	Chain       [][]byte // of the controller, in DER
	Ask         bool     // clients are asked for certificates
	Authorities [][]byte // that they are told of
}

// Public returns what is shown now.
func (f *Files) Public() Public {
	s := f.now.Load()
	return Public{s.config.Certificates[0].Certificate, s.config.ClientAuth != tls.NoClientCert, s.told}
}

// Signing is a question for a signature of a handshake by the key of a certificate.
type Signing struct {
	Leaf    []byte      // the certificate, in DER
	Message []byte      // what is signed, whole
	Hash    crypto.Hash // of the message; 0: the key signs it as it is
	Salt    *int        // of a signature by RSA-PSS; nil: it is none
}

// serverVerify precedes the transcript's hash in what a server signs: RFC 8446, section 4.4.3.
var serverVerify = strings.Repeat(" ", 64) + "TLS 1.3, server CertificateVerify\x00"

// What a server of TLS 1.2 signs (RFC 8422, section 5.4) are two random numbers, then a curve by
// its name, and a public key on it.
const (
	randoms    = 2 * 32
	namedCurve = 3
)

// curveOf returns the curve with a number of TLS, of those that crypto/tls offers for TLS 1.2.
func curveOf(id tls.CurveID) ecdh.Curve {
	switch id {
	case tls.X25519:
		return ecdh.X25519()
	case tls.CurveP256:
		return ecdh.P256()
	case tls.CurveP384:
		return ecdh.P384()
	case tls.CurveP521:
		return ecdh.P521()
	}
	return nil
}

// isHandshake reports whether a message is what a server signs in a handshake of TLS 1.2 or 1.3.
// Everything else that a certificate's key could sign means something else to its reader.
func isHandshake(message []byte) bool {
	if hash, ok := bytes.CutPrefix(message, []byte(serverVerify)); ok {
		return len(hash) == crypto.SHA256.Size() || len(hash) == crypto.SHA384.Size()
	}
	if len(message) <= randoms+4 {
		return false
	}
	params := message[randoms:]
	curve := curveOf(tls.CurveID(params[1])<<8 | tls.CurveID(params[2]))
	if params[0] != namedCurve || curve == nil || int(params[3]) != len(params)-4 {
		return false
	}
	_, err := curve.NewPublicKey(params[4:])
	return err == nil
}

// Sign answers a question, for the certificate that is shown now.
func (f *Files) Sign(q Signing) ([]byte, error) {
	pair := f.now.Load().config.Certificates[0]
	key, ok := pair.PrivateKey.(crypto.Signer)
	_, whole := pair.PrivateKey.(ed25519.PrivateKey)
	switch {
	case !ok || !bytes.Equal(pair.Certificate[0], q.Leaf):
		return nil, errors.New("this certificate is not shown any more")
	case !isHandshake(q.Message),
		// other keys sign what they get as if it were a hash, and this kind alone hashes by itself
		whole != (q.Hash == 0),
		q.Hash != 0 && !slices.Contains([]crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}, q.Hash),
		// the only length that TLS has: another one is memory that its asker chooses
		q.Salt != nil && (*q.Salt != rsa.PSSSaltLengthEqualsHash || q.Hash == 0):
		return nil, fmt.Errorf("%d bytes with hash %d are no handshake of TLS", len(q.Message), q.Hash)
	}
	var opts crypto.SignerOpts = q.Hash
	if q.Salt != nil {
		opts = &rsa.PSSOptions{SaltLength: *q.Salt, Hash: q.Hash}
	}
	return crypto.SignMessage(key, rand.Reader, q.Message, opts)
}

// Config is the TLS configuration of a listener by what is public, whose signatures are asked for.
func (p Public) Config(sign func(Signing) ([]byte, error)) (*tls.Config, error) {
	leaf, err := x509.ParseCertificate(p.Chain[0])
	if err != nil {
		return nil, err
	}
	out := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: p.Chain, Leaf: leaf, PrivateKey: remoteKey{leaf, sign}}},
		MinVersion:   tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, SessionTicketsDisabled: true,
	}
	if p.Ask {
		out.ClientAuth = tls.RequestClientCert
	}
	for i, der := range p.Authorities {
		a, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			out.ClientCAs = x509.NewCertPool()
		}
		out.ClientCAs.AddCert(a)
	}
	return out, nil
}

// remoteKey is a key that another process has.
type remoteKey struct {
	leaf *x509.Certificate
	sign func(Signing) ([]byte, error)
}

// Public is the certificate's key.
func (k remoteKey) Public() crypto.PublicKey { return k.leaf.PublicKey }

// Sign refuses: a digest does not show what is signed.
func (k remoteKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("this key signs whole messages")
}

// SignMessage asks for a signature.
func (k remoteKey) SignMessage(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	q := Signing{Leaf: k.leaf.Raw, Message: message, Hash: opts.HashFunc()}
	if pss, ok := opts.(*rsa.PSSOptions); ok {
		q.Salt = &pss.SaltLength
	}
	return k.sign(q)
}
