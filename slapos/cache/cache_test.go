package cache_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/slapos/cache"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// directory is one that answers by path, with a status where the answer is a number.
func directory(t *testing.T, answers map[string]string) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, password, ok := r.BasicAuth(); ok && (name != "me" || password != "pass word") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answer, ok := answers[r.URL.EscapedPath()]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if answer == "busy" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(s.Close)
	return s
}

func open(t *testing.T, o cache.Options) *cache.Directory {
	t.Helper()
	d, err := cache.OpenDirectory(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

const release = "https://software.example/demo/software.cfg"

// The entries were signed by OpenSSL, with the key of a certificate that was good for a day.
func TestEntries(t *testing.T) {
	s := directory(t, map[string]string{"/shadir/" + cache.ReleaseKey(release): read(t, "testdata/entries.json")})
	signers, err := cache.ParseSigners(read(t, "testdata/signer.crt"))
	if err != nil || len(signers) != 1 {
		t.Fatalf("signers = %v, err = %v; want no error and len(signers) == 1", signers, err)
	}
	d := open(t, cache.Options{URL: s.URL + "/shadir", Signers: signers})
	entries, odd, err := d.Entries(t.Context(), cache.ReleaseKey(release))
	if err != nil || odd != 3 || len(entries) != 4 {
		t.Fatalf("entries = %+v, odd = %d, err = %v; want no error and odd == 3 and len(entries) == 4", entries, odd, err)
	}
	want := cache.Entry{
		SHA512: entries[0].SHA512, Release: release, Root: "/opt/slapgrid", Multiarch: "x86_64-linux-gnu",
		OS: cache.OS{ID: "debian", Version: "12", Codename: "bookworm"}, Signed: true, Trusted: true,
	}
	other := want
	other.Root, other.Trusted = "/srv/slapgrid", false // the signature is of the entry before it
	old := cache.Entry{SHA512: strings.Repeat("0", 128), Release: release, Machine: "x86_64", OS: cache.OS{ID: "Debian", Version: "12.4"}}
	broken := want
	broken.Trusted = false
	if diff := cmp.Diff([]cache.Entry{want, other, old, broken}, entries); diff != "" {
		t.Error(diff)
	}
	entries, _, err = open(t, cache.Options{URL: s.URL + "/shadir/"}).Entries(t.Context(), cache.ReleaseKey(release))
	if err != nil || len(entries) != 4 || entries[0].Trusted || !entries[0].Signed {
		t.Errorf("without signers: %+v, %v", entries, err)
	}
}

func TestAnswers(t *testing.T) {
	s := directory(
		t,
		map[string]string{
			"/a": "<html>", "/b": "busy", "/c": "[]", "/d": strings.Repeat(" ", 9<<20),
			"/pypi:a%2Fb=1": `[["{\"sha512\":\"` + strings.Repeat("a", 128) + `\",\"basename\":\"a-1.tar.gz\"}",""]]`,
		},
	)
	d := open(t, cache.Options{URL: s.URL})
	for key, want := range map[string]error{
		"a": proto.ErrMalformed, "b": client.ErrRefused, "c": nil, "d": proto.ErrMalformed, "nothing": nil,
	} {
		if entries, _, err := d.Entries(t.Context(), key); !errors.Is(err, want) || len(entries) != 0 {
			t.Errorf("%s: entries = %v, err = %v; want error want and len(entries) == 0", key, entries, err)
		}
	}
	if entries, _, err := d.Entries(t.Context(), cache.PackageKey("a/b", "1")); err != nil || len(entries) != 1 ||
		entries[0].Basename != "a-1.tar.gz" {
		t.Errorf("a package: %+v, %v", entries, err)
	}
	host := strings.TrimPrefix(s.URL, "http://")
	if _, _, err := open(t, cache.Options{URL: "http://me:pass%20word@" + host}).Entries(t.Context(), "c"); err != nil {
		t.Errorf("with the password: %v", err)
	}
	if _, _, err := open(t, cache.Options{URL: "http://me:secret@" + host}).Entries(t.Context(), "c"); !errors.Is(err, client.ErrDenied) ||
		strings.Contains(err.Error(), "secret") {
		t.Errorf("with another password: %v", err)
	}
	s.Close()
	if _, _, err := open(
		t, cache.Options{URL: "http://me:secret@" + host},
	).Entries(t.Context(), "c"); !errors.Is(err, client.ErrUnreachable) ||
		strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := d.Entries(ctx, "c"); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

func TestTrustOfTheServer(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	if _, _, err := open(t, cache.Options{URL: s.URL}).Entries(t.Context(), "c"); !errors.Is(err, client.ErrUntrusted) {
		t.Errorf("a server that nobody signed for: %v", err)
	}
	ca := t.TempDir() + "/ca.crt"
	if err := os.WriteFile(ca, pemOf(s.Certificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := open(t, cache.Options{URL: s.URL, CAFile: ca}).Entries(t.Context(), "c"); err != nil {
		t.Errorf("with its certificate: %v", err)
	}
}

func TestBadOptions(t *testing.T) {
	for want, o := range map[string]cache.Options{
		"is like https://":               {URL: "ftp://me:secret@a/"},
		"go together":                    {URL: "https://a/", CertFile: "x"},
		"no such file":                   {URL: "https://a/", CAFile: "nothing"},
		"holds no certificate":           {URL: "https://a/", CAFile: "testdata/entries.json"},
		"the certificate testdata/entri": {URL: "https://a/", CertFile: "testdata/entries.json", KeyFile: "testdata/entries.json"},
	} {
		if _, err := cache.OpenDirectory(o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf(`%+v: err = %v; want an error and err.Error() with want and err.Error() without "secret"`, o, err)
		}
	}
	good := read(t, "testdata/signer.crt")
	for text, want := range map[string]string{
		"what": "certificate 1 cannot be read", good + "x": "certificate 2 cannot be read",
		strings.Replace(good, "MII", "MIJ", 1): "certificate 1 cannot be read",
	} {
		if _, err := cache.ParseSigners(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v; want an error and err.Error() with want", err)
		}
	}
	if all, err := cache.ParseSigners(good + "\n\n" + good); err != nil || len(all) != 2 {
		t.Errorf("all = %v, err = %v; want no error and len(all) == 2", all, err)
	}
}

func TestRuns(t *testing.T) {
	here := cache.Platform{Multiarch: "x86_64-linux-gnu", OS: cache.OS{ID: "debian", Version: "12", Codename: "bookworm"}}
	ubuntu := cache.Platform{Multiarch: "aarch64-linux-gnu", OS: cache.OS{ID: "ubuntu", Version: "24.04", Codename: "noble"}}
	for _, c := range []struct {
		on   cache.Platform
		e    cache.Entry
		want bool
	}{
		{here, cache.Entry{Multiarch: "x86_64-linux-gnu", OS: cache.OS{ID: "debian", Version: "12", Codename: "bookworm"}}, true},
		{here, cache.Entry{Multiarch: "x86_64-linux-gnu", OS: cache.OS{ID: "Debian", Version: "12.7"}}, true},
		{here, cache.Entry{Multiarch: "x86_64-linux-gnu", OS: cache.OS{ID: "raspbian", Version: "12"}}, true},
		{here, cache.Entry{Multiarch: "x86_64-linux-gnu", OS: cache.OS{ID: "debian", Version: "11"}}, false},
		{here, cache.Entry{Multiarch: "aarch64-linux-gnu", OS: cache.OS{ID: "debian", Version: "12"}}, false},
		{here, cache.Entry{Machine: "x86_64", OS: cache.OS{ID: "debian", Version: "12.1"}}, true},
		{here, cache.Entry{Machine: "i686", OS: cache.OS{ID: "debian", Version: "12.1"}}, false},
		{here, cache.Entry{OS: cache.OS{ID: "debian", Version: "12.1"}}, false},
		{ubuntu, cache.Entry{Multiarch: "aarch64-linux-gnu", OS: cache.OS{ID: "ubuntu", Version: "24.04", Codename: "noble"}}, true},
		{ubuntu, cache.Entry{Multiarch: "aarch64-linux-gnu", OS: cache.OS{ID: "ubuntu", Version: "24.10", Codename: "noble"}}, false},
		{ubuntu, cache.Entry{Multiarch: "aarch64-linux-gnu", OS: cache.OS{ID: "ubuntu", Version: "24.04"}}, false},
	} {
		if got := c.on.Runs(&c.e); got != c.want {
			t.Errorf("%+v on %+v: %v", c.e, c.on, got)
		}
	}
}

func TestKeys(t *testing.T) {
	if k := cache.ReleaseKey(release); len(k) != 32 || cache.ReleaseKey(k) != k || cache.FileKey(release) != "file-urlmd5:"+k {
		t.Error(k)
	}
	if k := cache.PackageKey("zc.buildout", "3.0"); k != "pypi:zc.buildout=3.0" {
		t.Error(k)
	}
}

func FuzzEntries(f *testing.F) {
	b, err := os.ReadFile("testdata/entries.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(b))
	f.Add(`[["{\"sha512\":\"\",\"os\":null}",null]]`)
	f.Add(`[["{\"os\":\"('a', \\\"b\\\", 'c')\"}",""],null,[null,null]]`)
	f.Fuzz(func(t *testing.T, text string) {
		entries, odd, err := cache.Parse([]byte(text))
		if err != nil && len(entries)+odd > 0 {
			t.Errorf("%v, and %d entries", err, len(entries))
		}
		for _, e := range entries {
			if len(e.SHA512) != 128 || e.Trusted {
				t.Errorf("e = %+v; want len(e.SHA512) == 128 and !e.Trusted", e)
			}
		}
	})
}

func pemOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
