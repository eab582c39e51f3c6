package service

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/cache"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/node/software"
)

// linesTo is a log that writes each message as a line.
type linesTo struct{ io.Writer }

func (l linesTo) Say(format string, args ...any)  { fmt.Fprintf(l, format+"\n", args...) }
func (l linesTo) Warn(format string, args ...any) { fmt.Fprintf(l, format+"\n", args...) }
func (l linesTo) Note(format string, args ...any) {}

// What a node has built another one has, by [networkcache] alone: the software of the second is not
// even there any more.
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
	if err := os.WriteFile(
		keyFile, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600,
	); err != nil {
		t.Fatal(err)
	}
	certificate := strings.ReplaceAll(
		strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))), "\n", "\n  ",
	)
	s := httptest.NewServer(cache.Handler(cache.ServeOptions{Content: t.TempDir(), Metadata: t.TempDir()}))
	defer s.Close()
	var later func(url string, send func(ctx context.Context) error)
	node := func(more string) (*software.Builder, *bytes.Buffer) {
		f, err := cfg.Parse("slapos.cfg", []byte("[networkcache]\ndownload-binary-cache-url = "+s.URL+"/cache\ndownload-binary-dir-url = "+s.URL+"/dir\nupload-binary-cache-url = "+s.URL+
			"/cache\nupload-binary-dir-url = "+s.URL+"/dir\nsignature-certificate-list =\n  "+certificate+"\n"+more))
		if err != nil {
			t.Fatal(err)
		}
		root, said := t.TempDir(), &bytes.Buffer{}
		from := &releases{&Node{File: f, Log: linesTo{said}}, later}
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
		from.useCache(b)
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
		t.Fatalf("err = %v\nsaid = %s; want no error", err, said)
	}
	if err := os.RemoveAll(release); err != nil {
		t.Fatal(err)
	}
	second, said := node("")
	if err := second.Install(t.Context(), release); err != nil {
		t.Fatalf("err = %v\nsaid = %s; want no error", err, said)
	}
	if text, err := os.ReadFile(filepath.Join(second.Dir(release), "instance")); err != nil ||
		string(text) != "#!/bin/sh\n" || !strings.Contains(said.String(), "from the binary cache") {
		t.Errorf(
			"text = %s, err = %v\nsaid = %s"+
				"; want no error and string(text) == \"#!/bin/sh\\n\" and said.String() with \"from the binary "+
				`cache"`,
			text, err, said,
		)
	}
	if os.Geteuid() == 0 {
		for _, name := range []string{"", "instance"} {
			if st, err := os.Lstat(filepath.Join(second.Dir(release), name)); err != nil || st.Sys().(*syscall.Stat_t).Uid != 12345 {
				t.Errorf("%q is not the software user's: %v", name, err)
			}
		}
	}
	// One who sends beside all else sends the release as it was when it was built.
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(os.MkdirAll(release, 0o755))
	do(os.WriteFile(filepath.Join(release, "instance"), []byte("#!/bin/sh\n# new\n"), 0o755))
	var send func(ctx context.Context) error
	later = func(_ string, f func(ctx context.Context) error) { send = f }
	beside, said := node("signature-private-key-file = " + keyFile + "\ndownload-from-binary-cache-url-blacklist = /\n")
	do(beside.Install(t.Context(), release))
	if send == nil {
		t.Fatal(said)
	}
	do(os.WriteFile(filepath.Join(beside.Dir(release), "instance"), []byte("something else"), 0o755))
	do(send(t.Context()))
	do(os.RemoveAll(release))
	last, _ := node("")
	do(last.Install(t.Context(), release))
	if text, err := os.ReadFile(filepath.Join(last.Dir(release), "instance")); err != nil || string(text) != "#!/bin/sh\n# new\n" {
		t.Errorf("text = %s, err = %v; want no error and string(text) == \"#!/bin/sh\\n# new\\n\"", text, err)
	}
	for _, b := range []*software.Builder{beside, last} {
		if left, err := os.ReadDir(b.Root); err != nil || len(left) != 1 {
			t.Errorf("left = %v, err = %v; want no error and len(left) == 1", left, err)
		}
	}
	third, _ := node("download-from-binary-cache-url-blacklist = /\n")
	if err := third.Install(t.Context(), release); err == nil {
		t.Error("what must not be fetched is there")
	}
}

// A node that makes its passes by itself sends what it has built beside all else, as it was when it
// was built, and no more when it ends.
func TestUploadBeside(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	u := &uploader{log: linesTo{io.Discard}, ctx: ctx, now: map[string]context.CancelFunc{}}
	began, ended := make(chan string, 3), make(chan string, 3)
	send := func(name string) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			began <- name
			<-ctx.Done()
			ended <- name
			return ctx.Err()
		}
	}
	u.later(dir, send("first"))
	if got := <-began; got != "first" {
		t.Error(got)
	}
	u.later(dir+"/other", send("other"))
	if got := <-began; got != "other" { // beside the first
		t.Error(got)
	}
	u.later(dir, send("second")) // in the place of the first
	if b, e := <-began, <-ended; b != "second" || e != "first" {
		t.Errorf(`b = %v, e = %v; want b == "second" and e == "first"`, b, e)
	}
	cancel()
	u.all.Wait()
	if len(ended) != 2 {
		t.Errorf("%d have ended", len(ended))
	}
}

// Each of the two stores is shown the certificate that is for it.
func TestCacheCertificates(t *testing.T) {
	dir := t.TempDir()
	whole := cache.Handler(cache.ServeOptions{Content: t.TempDir(), Metadata: t.TempDir()})
	var settings strings.Builder
	settings.WriteString("[networkcache]\n")
	for store, path := range map[string]string{"shacache": "cache", "shadir": "dir"} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		of := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: store}, NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if who := r.TLS.PeerCertificates[0].Subject.CommonName; who != store || !strings.HasPrefix(r.URL.Path, "/"+path) {
				t.Errorf("%s is shown the certificate of %s", store, who)
			}
			whole.ServeHTTP(w, r)
		}))
		s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
		s.StartTLS()
		defer s.Close()
		for name, block := range map[string]*pem.Block{
			"key":  {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)},
			"cert": {Type: "CERTIFICATE", Bytes: der}, "ca": {Type: "CERTIFICATE", Bytes: s.Certificate().Raw},
		} {
			file := filepath.Join(dir, store+name)
			if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
			settings.WriteString(store + "-" + name + "-file = " + file + "\n")
		}
		for _, way := range []string{"download", "upload"} {
			settings.WriteString(way + "-binary-" + path + "-url = " + s.URL + "/" + path + "\n")
		}
	}
	f, err := cfg.Parse("slapos.cfg", []byte(settings.String()))
	if err != nil {
		t.Fatal(err)
	}
	from := &releases{node: &Node{File: f, Log: linesTo{io.Discard}}}
	r, end, err := from.binaryCache(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	hash := sha512.Sum512([]byte("content"))
	digest := hex.EncodeToString(hash[:])
	if err := r.ContentTo.Put(t.Context(), digest, strings.NewReader("content"), 7); err != nil {
		t.Error(err)
	}
	if err := r.EntriesTo.Add(t.Context(), "k", `{"sha512": "`+digest+`"}`, ""); err != nil {
		t.Error(err)
	}
	if all, _, err := r.Entries.Entries(t.Context(), "k"); err != nil || len(all) != 1 {
		t.Errorf("all = %v, err = %v; want no error and len(all) == 1", all, err)
	}
	var got bytes.Buffer
	if err := r.Content.Get(t.Context(), digest, &got, 100); err != nil || got.String() != "content" {
		t.Errorf(`got = %s, err = %v; want no error and got.String() == "content"`, got.String(), err)
	}
}
