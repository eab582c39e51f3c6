package cache_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/cache"
	"github.com/hostler-project/hostler/slapos/proto"
)

// signer is a key with its certificate, as a list has it.
func signer(t *testing.T) (*rsa.PrivateKey, []*x509.Certificate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signer"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, []*x509.Certificate{c}
}

// depot is a cache in two directories.
type depot struct {
	content, metadata, url string
	served                 atomic.Int64 // contents
}

func serve(t *testing.T, o cache.ServeOptions) *depot {
	t.Helper()
	d := &depot{content: t.TempDir(), metadata: t.TempDir()}
	o.Content, o.Metadata = d.content, d.metadata
	h := cache.Handler(o)
	t.Cleanup(h.Close)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/cache/") {
			d.served.Add(1)
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	d.url = s.URL
	return d
}

func (d *depot) clients(t *testing.T, signers []*x509.Certificate) (*cache.Directory, *cache.Store) {
	t.Helper()
	s, err := cache.OpenStore(cache.Options{URL: d.url + "/cache"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return open(t, cache.Options{URL: d.url + "/dir", Signers: signers}), s
}

var here = cache.Platform{Multiarch: "x86_64-linux-gnu", OS: cache.OS{ID: "debian", Version: "12", Codename: "bookworm"}}

// built is a release as a build leaves it.
func built(t *testing.T, root string) string {
	t.Helper()
	dir := filepath.Join(root, cache.ReleaseKey(release))
	for name, mode := range map[string]os.FileMode{"bin": 0o755, "parts/closed": 0o750} {
		if err := os.MkdirAll(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"bin/buildout": "#!/bin/sh\n", "instance.cfg": "[buildout]\n", ".netrc": "machine a password secret",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../instance.cfg", filepath.Join(dir, "bin/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "parts"), 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "parts"), 0o755) })
	return dir
}

func nothing(t *testing.T, root string) {
	t.Helper()
	if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// What one machine has built the next one has, by the cache; whose signature is not trusted, and
// what runs elsewhere, nobody has.
func TestOneBuildServesTheNext(t *testing.T) {
	key, signers := signer(t)
	d := serve(t, cache.ServeOptions{})
	entries, contents := d.clients(t, signers)
	first, second := t.TempDir(), t.TempDir()
	up := &cache.Releases{Here: here, EntriesTo: entries, ContentTo: contents, Key: key}
	dir := built(t, first)
	for range 2 { // the second time the content is there
		if err := up.Upload(t.Context(), release, dir); err != nil {
			t.Fatal(err)
		}
	}
	var said []string
	down := &cache.Releases{Here: here, Entries: entries, Content: contents, Log: func(line string) { said = append(said, line) }}
	if got, err := down.Fetch(t.Context(), release, second); err != nil || !got {
		t.Fatalf("got = %v, err = %v, said = %v; want no error and got", got, err, said)
	}
	there := filepath.Join(second, cache.ReleaseKey(release))
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(there, "parts"), 0o755) })
	if text, err := os.ReadFile(filepath.Join(there, "bin/link")); err != nil || string(text) != "[buildout]\n" {
		t.Errorf("text = %s, err = %v; want no error and string(text) == \"[buildout]\\n\"", text, err)
	}
	for name, mode := range map[string]os.FileMode{"bin/buildout": 0o755, "parts": 0o555, "parts/closed": 0o750} {
		if info, err := os.Stat(filepath.Join(there, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: info = %v, err = %v; want no error and info.Mode().Perm() == mode", name, info, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(there, ".netrc")); err == nil {
		t.Error("the builder's passwords are given away")
	}
	for what, r := range map[string]*cache.Releases{
		"another system": {
			Here: cache.Platform{Multiarch: here.Multiarch, OS: cache.OS{ID: "debian", Version: "11"}}, Entries: entries,
			Content: contents,
		},
		"not trusted":     {Here: here, Entries: open(t, cache.Options{URL: d.url + "/dir"}), Content: contents},
		"not to be":       {Here: here, Entries: entries, Content: contents, NotFetched: []string{"https://software.example/"}},
		"there is none":   {Here: here},
		"nobody is there": {Here: here, Entries: open(t, cache.Options{URL: "http://127.0.0.1:1/"}), Content: contents},
	} {
		root := t.TempDir()
		if got, err := r.Fetch(t.Context(), release, root); err != nil || got {
			t.Errorf("%s: got = %v, err = %v; want no error and !got", what, got, err)
		}
		if what != "not to be" {
			r.OnlyFetched = []string{"https://software.example/"}
			if got, err := r.Fetch(t.Context(), release, root); err == nil || got {
				t.Errorf("%s, and it must: %v, %v", what, got, err)
			}
		}
		nothing(t, root)
	}
	// An entry of another release under this one's key, which was signed for that.
	text := `{"software_url": "https://other.example/", "multiarch": "x86_64-linux-gnu", "os": ["debian", "12", ""], "sha512": "` + strings.Repeat("0", 128) + `"}`
	if err := entries.Add(t.Context(), cache.ReleaseKey(release), text, cache.Sign(t, text, key)); err != nil {
		t.Fatal(err)
	}
	if got, err := down.Fetch(t.Context(), release, t.TempDir()); err != nil || got {
		t.Errorf("another's: %v, %v", got, err)
	}
}

// An archive whose names or links lead out is not unpacked, nor what is not what its digest says,
// and nothing of it stays.
func TestHostileContent(t *testing.T) {
	key, signers := signer(t)
	top := cache.ReleaseKey(release)
	outside := filepath.Join(t.TempDir(), "victim")
	for what, entries := range map[string][]tar.Header{
		"up":       {{Name: top + "/../x", Typeflag: tar.TypeReg}},
		"absolute": {{Name: "/etc/x", Typeflag: tar.TypeReg}},
		"beside":   {{Name: top + "x/y", Typeflag: tar.TypeReg}},
		"by a link": {
			{Name: top + "/a", Typeflag: tar.TypeSymlink, Linkname: filepath.Dir(outside)},
			{Name: top + "/a/victim", Typeflag: tar.TypeReg},
		},
		"by a hard link": {{Name: top + "/a", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}},
		"a device":       {{Name: top + "/a", Typeflag: tar.TypeChar}},
		"replaced": {
			{Name: top + "/a", Typeflag: tar.TypeDir, Mode: 0o755},
			{Name: top + "/a", Typeflag: tar.TypeSymlink, Linkname: filepath.Dir(outside)},
			{Name: top + "/a/victim", Typeflag: tar.TypeReg},
		},
		"no archive": nil,
		"another":    {{Name: top + "/a", Typeflag: tar.TypeReg}},
	} {
		t.Run(what, func(t *testing.T) {
			d := serve(t, cache.ServeOptions{})
			dir, store := d.clients(t, signers)
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			w := tar.NewWriter(z)
			for _, h := range entries {
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
			}
			if entries == nil {
				_, _ = z.Write([]byte(strings.Repeat("what is this? ", 100)))
			} else if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			hash := sha512.Sum512(packed.Bytes())
			digest := hex.EncodeToString(hash[:])
			if err := store.Put(t.Context(), digest, bytes.NewReader(packed.Bytes()), int64(packed.Len())); err != nil {
				t.Fatal(err)
			}
			if what == "another" {
				if err := os.WriteFile(filepath.Join(d.content, digest), []byte("something else"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text := `{"software_url": "` + release + `", "multiarch": "x86_64-linux-gnu", "os": ["debian", "12", "bookworm"], "sha512": "` + digest + `"}`
			if err := dir.Add(t.Context(), top, text, cache.Sign(t, text, key)); err != nil {
				t.Fatal(err)
			}
			root := t.TempDir()
			r := &cache.Releases{Here: here, Entries: dir, Content: store, OnlyFetched: []string{release}}
			if got, err := r.Fetch(t.Context(), release, root); err == nil || got || d.served.Load() < 2 {
				t.Errorf("got = %v, err = %v; want an error and !got and d.served.Load() >= 2", got, err)
			}
			nothing(t, root)
			if _, err := os.Lstat(outside); err == nil {
				t.Error("it was written outside")
			}
		})
	}
}

// A content whose connection breaks goes on where it broke.
func TestResume(t *testing.T) {
	data := make([]byte, 1<<20)
	_, _ = rand.Read(data)
	hash := sha512.Sum512(data)
	digest := hex.EncodeToString(hash[:])
	var mu sync.Mutex
	var ranges []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		ranges = append(ranges, r.Header.Get("Range"))
		w.Header().Set("Accept-Ranges", "bytes")
		from := 0
		if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); n == 1 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(data)-from))
		if from > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		if len(ranges) < 3 {
			_, _ = w.Write(data[from : from+300_000])
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(data[from:])
	}))
	defer s.Close()
	store, err := cache.OpenStore(cache.Options{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var got bytes.Buffer
	if err := store.Get(t.Context(), digest, &got, 2<<20); err != nil || !bytes.Equal(got.Bytes(), data) ||
		len(ranges) != 3 || ranges[2] != "bytes=600000-" {
		t.Errorf("%v, %d bytes, %q", err, got.Len(), ranges)
	}
	if err := store.Get(t.Context(), digest, io.Discard, 1000); !errors.Is(err, proto.ErrMalformed) {
		t.Errorf("more than may be: %v", err)
	}
}

func (d *depot) ask(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text)
}

// The other side: what may be put, what is said of it, and what is had from another cache and kept.
func TestServe(t *testing.T) {
	hash := sha512.Sum512([]byte("content"))
	digest := hex.EncodeToString(hash[:])
	other := strings.Repeat("0", 128)
	entry := func(sha string) string {
		text, _ := json.Marshal([]string{`{"sha512": "` + sha + `"}`, ""})
		return string(text)
	}
	d := serve(t, cache.ServeOptions{Most: 100})
	var all sync.WaitGroup
	for range 8 { // at once
		all.Go(func() {
			if code, text := d.ask(t, http.MethodPost, "/cache", "content"); code != 201 || text != digest {
				t.Errorf("code = %d text = %s; want code == 201 and text == digest", code, text)
			}
		})
	}
	all.Wait()
	for _, c := range []struct {
		method, path, body string
		code               int
		says               string
	}{
		{"PUT", "/cache/" + digest, "content", 201, digest},
		{"PUT", "/cache/" + other, "content", 400, "Checksum mismatch"},
		{"POST", "/cache", strings.Repeat("x", 101), 413, "100 bytes"},
		{"GET", "/cache/" + digest, "", 200, "content"}, {"GET", "/cache/" + other, "", 404, ""},
		{"GET", "/cache/..", "", 404, ""}, {"PUT", "/cache/x", "y", 404, ""},
		{"PUT", "/dir/" + strings.Repeat("k", 201), entry(digest), 400, ""}, {"PUT", "/dir/k", "[]", 400, "no entry"},
		{"PUT", "/dir/k", "{", 400, ""}, {"PUT", "/dir/k", entry("x"), 400, ""},
		{"GET", "/dir/k", "", 404, ""}, {"PUT", "/dir/k", entry(other), 201, ""},
		{"PUT", "/dir/k", entry(digest), 201, ""}, {"GET", "/dir/k", "", 200, "[" + entry(digest) + "]"},
		{"PUT", "/dir/pypi:a%2F..%2Fb=1", entry(digest), 201, ""}, {"GET", "/dir/pypi:a%2F..%2Fb=1", "", 200, digest},
		{"PUT", "/dir/.hidden", entry(other), 201, ""},
		{"POST", "/update", "", 200, `{"removed":[".hidden"],"updated":[]}`}, {"GET", "/dir/.hidden", "", 404, ""},
		{"DELETE", "/dir/k", "", 405, ""},
	} {
		if code, text := d.ask(t, c.method, c.path, c.body); code != c.code || !strings.Contains(text, c.says) {
			t.Errorf(
				"c.method = %s c.path = %s: code = %d text = %s"+
					"; want code == c.code and text with c.says",
				c.method, c.path, code, text,
			)
		}
	}
	if files, err := os.ReadDir(d.content); err != nil || len(files) != 1 {
		t.Errorf("files = %v, err = %v; want no error and len(files) == 1", files, err)
	}

	entries, contents := d.clients(t, nil)
	near := serve(t, cache.ServeOptions{UpstreamContent: contents, UpstreamEntries: entries})
	for range 2 {
		if code, text := near.ask(t, "GET", "/cache/"+digest, ""); code != 200 || text != "content" || d.served.Load() > 5 {
			t.Errorf(
				"code = %d text = %s, d.served.Load() = %d"+
					`; want code == 200 and text == "content" and d.served.Load() <= 5`,
				code, text, d.served.Load(),
			)
		}
	}
	for path, want := range map[string]int{"/cache/" + other: 404, "/dir/none": 404, "/dir/k": 200} {
		if code, text := near.ask(t, "GET", path, ""); code != want {
			t.Errorf("%s: code = %d text = %s; want code == want", path, code, text)
		}
	}
	if code, _ := d.ask(t, "PUT", "/dir/k", entry(other)); code != 201 {
		t.Error(code)
	}
	if code, text := near.ask(t, "POST", "/update", ""); code != 200 || text != "{\"removed\":[],\"updated\":[\"k\"]}\n" {
		t.Errorf(
			"code = %d text = %s"+
				"; want code == 200 and text == \"{\\\"removed\\\":[],\\\"updated\\\":[\\\"k\\\"]}\\n\"",
			code, text,
		)
	}
	if err := os.WriteFile(filepath.Join(d.content, other), []byte("a lie"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, text := near.ask(t, "GET", "/cache/"+other, ""); code != 502 {
		t.Errorf("a lie: %d %s", code, text)
	}
	if files, err := os.ReadDir(near.content); err != nil || len(files) != 1 {
		t.Errorf("files = %v, err = %v; want no error and len(files) == 1", files, err)
	}
	w := httptest.NewRecorder()
	cache.Handler(cache.ServeOptions{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/dir/k", nil))
	if w.Code != 503 {
		t.Error(w.Code)
	}
}
