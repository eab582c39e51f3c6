package certificate

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
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

// Signing is a question for a signature by the key of a certificate.
type Signing struct {
	Leaf   []byte // the certificate, in DER
	Digest []byte
	Hash   crypto.Hash // 0: Digest is the message itself
	Salt   *int        // of a signature by RSA-PSS; nil: it is none
}

// mostSigned is the longest message that is signed whole: that of a TLS handshake has less.
const mostSigned = 256

// Sign answers it, for the certificate that is shown now.
func (f *Files) Sign(q Signing) ([]byte, error) {
	pair := f.now.Load().config.Certificates[0]
	key, ok := pair.PrivateKey.(crypto.Signer)
	switch {
	case !ok || !bytes.Equal(pair.Certificate[0], q.Leaf):
		return nil, errors.New("this certificate is not shown any more")
	case q.Hash == 0 && len(q.Digest) > mostSigned,
		q.Hash != 0 && !slices.Contains([]crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512}, q.Hash),
		q.Hash != 0 && len(q.Digest) != q.Hash.Size(),
		// the only length that TLS has: another one is memory that its asker chooses
		q.Salt != nil && (*q.Salt != rsa.PSSSaltLengthEqualsHash || q.Hash == 0):
		return nil, fmt.Errorf("%d bytes with hash %d are nothing that TLS signs", len(q.Digest), q.Hash)
	}
	var opts crypto.SignerOpts = q.Hash
	if q.Salt != nil {
		opts = &rsa.PSSOptions{SaltLength: *q.Salt, Hash: q.Hash}
	}
	return key.Sign(rand.Reader, q.Digest, opts)
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

// Sign asks for a signature.
func (k remoteKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	q := Signing{Leaf: k.leaf.Raw, Digest: digest, Hash: opts.HashFunc()}
	if pss, ok := opts.(*rsa.PSSOptions); ok {
		q.Salt = &pss.SaltLength
	}
	return k.sign(q)
}
