package cache_test

import (
	"crypto/sha512"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/cache"
)

func digestOf(text string) string {
	hash := sha512.Sum512([]byte(text))
	return hex.EncodeToString(hash[:])
}

// A cache of a size keeps what was asked for last, and drops the entries of what it has no more.
func TestEvict(t *testing.T) {
	d := serve(t, cache.ServeOptions{Size: 30})
	put := func(text string, age time.Duration) {
		t.Helper()
		if code, said := d.ask(t, http.MethodPost, "/cache", text); code != http.StatusCreated {
			t.Fatalf("code = %d said = %s; want code == http.StatusCreated", code, said)
		}
		if code, said := d.ask(
			t, http.MethodPut, "/dir/"+text[:1], `["{\"sha512\": \"`+digestOf(text)+`\"}", ""]`,
		); code != http.StatusCreated {
			t.Fatalf("code = %d said = %s; want code == http.StatusCreated", code, said)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(filepath.Join(d.content, digestOf(text)), at, at); err != nil {
			t.Fatal(err)
		}
	}
	has := func(want string) {
		t.Helper()
		var got string
		for _, letter := range "abcd" {
			text := strings.Repeat(string(letter), 10)
			_, err := os.Stat(filepath.Join(d.content, digestOf(text)))
			if err == nil {
				got += string(letter)
			}
			if code, _ := d.ask(t, http.MethodGet, "/dir/"+string(letter), ""); (code == http.StatusOK) != (err == nil) {
				t.Errorf("%c: content %v, entry %d", letter, err, code)
			}
		}
		if got != want {
			t.Errorf("it has %q and not %q", got, want)
		}
	}
	a, b, c := strings.Repeat("a", 10), strings.Repeat("b", 10), strings.Repeat("c", 10)
	put(a, 3*time.Hour)
	put(b, 2*time.Hour)
	put(c, 0)
	has("abc")
	// so b is the one that nobody wants
	if code, _ := d.ask(t, http.MethodGet, "/cache/"+digestOf(a), ""); code != http.StatusOK {
		t.Error(code)
	}
	left := filepath.Join(d.content, ".new-1")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(left, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	put(strings.Repeat("d", 10), 0)
	has("acd")
	if _, err := os.Stat(left); err == nil {
		t.Error("what was left unfinished stays")
	}
	if code, _ := d.ask(t, http.MethodPost, "/cache", strings.Repeat("x", 31)); code != http.StatusRequestEntityTooLarge {
		t.Errorf("more than there is room for: %d", code)
	}
	has("acd")

	// What comes from another cache makes room too, and its entries stay: it can come again.
	entries, contents := d.clients(t, nil)
	near := serve(t, cache.ServeOptions{Size: 10, UpstreamContent: contents, UpstreamEntries: entries})
	for _, path := range []string{"/cache/" + digestOf(a), "/dir/a", "/cache/" + digestOf(c), "/dir/a", "/cache/" + digestOf(a)} {
		if code, text := near.ask(t, http.MethodGet, path, ""); code != http.StatusOK {
			t.Errorf("%s: code = %d text = %s; want code == http.StatusOK", path, code, text)
		}
	}
	if files, err := os.ReadDir(near.content); err != nil || len(files) != 1 {
		t.Errorf("files = %v, err = %v; want no error and len(files) == 1", files, err)
	}
}
