package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/node/software"
	"github.com/hostler-project/hostler/slap/cache"
	"github.com/hostler-project/hostler/slap/cfg"
)

// What a node has built another one has, by [networkcache] alone: the software of the second is not even there any more.
func TestSlaposNodeCache(t *testing.T) {
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signer"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(dir, "key")
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600); err != nil {
		t.Fatal(err)
	}
	certificate := strings.ReplaceAll(strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))), "\n", "\n  ")
	s := httptest.NewServer(cache.Handler(cache.ServeOptions{Content: t.TempDir(), Metadata: t.TempDir()}))
	defer s.Close()
	node := func(more string) (*software.Builder, *bytes.Buffer) {
		f, err := cfg.Parse("slapos.cfg", []byte("[networkcache]\ndownload-binary-cache-url = "+s.URL+"/cache\ndownload-binary-dir-url = "+s.URL+"/dir\nupload-binary-cache-url = "+s.URL+
			"/cache\nupload-binary-dir-url = "+s.URL+"/dir\nsignature-certificate-list =\n  "+certificate+"\n"+more))
		if err != nil {
			t.Fatal(err)
		}
		root, said := t.TempDir(), &bytes.Buffer{}
		n := &nodeCommand{slapos: &slapos{a: newApp(strings.NewReader(""), io.Discard, said)}, file: f}
		b := &software.Builder{Root: root, Environ: os.Environ(), Log: func(string) {}}
		if os.Geteuid() == 0 { // nothing is built as root
			if err := os.Chown(root, 12345, 12345); err != nil {
				t.Fatal(err)
			}
			for at := filepath.Dir(root); at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
				if err := os.Chmod(at, 0o755); err != nil {
					t.Fatal(err)
				}
			}
		}
		n.useCache(b)
		return b, said
	}
	release := filepath.Join(t.TempDir(), "software")
	if err := os.MkdirAll(release, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(release, "instance"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	first, said := node("signature-private-key-file = " + keyFile + "\n")
	if err := first.Install(t.Context(), release); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if err := os.RemoveAll(release); err != nil {
		t.Fatal(err)
	}
	second, said := node("")
	if err := second.Install(t.Context(), release); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if text, err := os.ReadFile(filepath.Join(second.Dir(release), "instance")); err != nil || string(text) != "#!/bin/sh\n" || !strings.Contains(said.String(), "from the binary cache") {
		t.Errorf("%s, %v\n%s", text, err, said)
	}
	third, _ := node("download-from-binary-cache-url-blacklist = /\n")
	if err := third.Install(t.Context(), release); err == nil {
		t.Error("what must not be fetched is there")
	}
}
