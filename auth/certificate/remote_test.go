package certificate_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hostler-project/hostler/auth/certificate"
)

// keyed returns the files of a controller with a key.
func keyed(t *testing.T, key crypto.Signer) *certificate.Files {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatalf("CreateCertificate: %v", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatalf("MarshalPKCS8PrivateKey: %v", err)
	}
	opt := certificate.Options{Cert: filepath.Join(t.TempDir(), "tls.crt"), Key: filepath.Join(t.TempDir(), "tls.key")}
	for file, block := range map[string]*pem.Block{
		opt.Cert: {Type: "CERTIFICATE", Bytes: der}, opt.Key: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatalf("WriteFile: %v", err)
		}
	}
	files, err := certificate.Load(opt)
	if err != nil {
		t.Fatalf("Load: %v; want no error", err)
	}
	return files
}

// TestSign: a process without the key speaks each version of TLS with each kind of key, and gets no
// signature of anything else.
func TestSign(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatalf("GenerateKey: %v", err)
	}
	keys := map[string]crypto.Signer{"ed25519": ed}
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()} {
		if keys[name], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			t.Fatalf("GenerateKey: %v", err)
		}
	}
	if keys["RSA"], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatalf("GenerateKey: %v", err)
	}
	for name, key := range keys {
		files := keyed(t, key)
		var asked []certificate.Signing
		sign := func(q certificate.Signing) ([]byte, error) { asked = append(asked, q); return files.Sign(q) }
		config, err := files.Public().Config(sign)
		if err != nil {
			t.Fatalf("%s: Config: %v; want no error", name, err)
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			asked = nil
			if err := handshake(config, version); err != nil || len(asked) != 1 {
				t.Errorf("%s, %s: err = %v, signatures = %d; want no error and 1", name, tls.VersionName(version), err, len(asked))
			}
		}
		good := asked[0]
		for what, change := range map[string]func(*certificate.Signing){
			"a digest":      func(q *certificate.Signing) { q.Message = bytes.Repeat([]byte{7}, 32) },
			"a certificate": func(q *certificate.Signing) { q.Message = files.Public().Chain[0] },
			"nothing":       func(q *certificate.Signing) { q.Message = nil },
			"a client's handshake": func(q *certificate.Signing) {
				q.Message = bytes.Replace(q.Message, []byte("server"), []byte("client"), 1)
			},
			"something behind it": func(q *certificate.Signing) { q.Message = append(q.Message, 'x') },
			"no hash, or another": func(q *certificate.Signing) {
				q.Salt = nil
				if q.Hash == 0 {
					q.Hash = crypto.SHA512
				} else {
					q.Hash = 0
				}
			},
			"a hash of something": func(q *certificate.Signing) {
				q.Hash, q.Salt = 0, nil
				q.Message = append(bytes.Repeat([]byte{7}, 64), 3, 0, 23, 1, 4)
				if _, whole := key.(ed25519.PrivateKey); whole {
					q.Hash = crypto.SHA512
				}
			},
			"no point of the curve": func(q *certificate.Signing) {
				q.Message = append(make([]byte, 64), append([]byte{3, 0, 23, 65, 4}, make([]byte, 64)...)...)
			},
			"explicit curve":           func(q *certificate.Signing) { q.Message = append(make([]byte, 64), 1, 0, 23, 1, 4) },
			"a key longer than any":    func(q *certificate.Signing) { q.Message = append(make([]byte, 64), 3, 0, 23, 200, 4) },
			"a hash that is too short": func(q *certificate.Signing) { q.Hash = crypto.SHA1 },
			"much salt":                func(q *certificate.Signing) { q.Salt = new(1 << 30) },
			"another certificate":      func(q *certificate.Signing) { q.Leaf = []byte("other") },
		} {
			q := good
			q.Message = bytes.Clone(good.Message)
			if change(&q); q.Hash == good.Hash && q.Salt == good.Salt && bytes.Equal(q.Message, good.Message) && bytes.Equal(q.Leaf, good.Leaf) {
				t.Fatalf("%s: %s changes nothing", name, what)
			}
			if signature, err := files.Sign(q); err == nil {
				t.Errorf("%s, %s: got a signature of %d bytes, want an error", name, what, len(signature))
			}
		}
	}
}

// handshake shakes hands with a listener of a configuration.
func handshake(config *tls.Config, version uint16) error {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	failed := make(chan error, 1)
	server := tls.Server(far, config)
	go func() { failed <- server.Handshake() }()
	client := tls.Client(near, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
	if err := client.Handshake(); err != nil {
		return err
	}
	return <-failed
}
