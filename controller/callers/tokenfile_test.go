package callers

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestTokenOfNewState: the first controller of a state whose records are in a database makes its
// directory for the token, and several that begin at once have the same.
func TestTokenOfNewState(t *testing.T) {
	state := filepath.Join(t.TempDir(), "a", "state")
	t.Setenv("XDG_STATE_HOME", state)
	tokens, errs := make([]string, 8), make([]error, 8)
	var all sync.WaitGroup
	for i := range tokens {
		all.Go(func() { tokens[i], errs[i] = AdministratorToken("") })
	}
	all.Wait()
	for i, text := range tokens {
		if errs[i] != nil || len(text) < 16 || text != tokens[0] {
			t.Errorf("controller %d has the token %q, %v; the first %q", i, text, errs[i], tokens[0])
		}
	}
	dir := filepath.Join(state, "hostler")
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("there are %v, %v", files, err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "controller.token"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", path, info, err, want)
		}
	}
}

// TestTokenFileElsewhere: where a file that was named cannot be made the error names it.
func TestTokenFileElsewhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "none", "token")
	_, err := AdministratorToken(file)
	if err == nil || !strings.Contains(err.Error(), file+":") {
		t.Errorf(`%s: err = %v; want an error and err.Error() with file + ":"`, file, err)
	}
}

// TestWeakTokens: a token that is short, or of few characters, is refused.
func TestWeakTokens(t *testing.T) {
	for token, good := range map[string]bool{
		"short": false, "aaaaaaaaaaaaaaaaaaaaaaaa": false, "passpasspasspass": false,
		"3f9c0d1e7a5b2846": true, "correct horse battery": true,
	} {
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := AdministratorToken(file); (err == nil) != good || good && got != token {
			t.Errorf("%q: got %q and %v, want it taken: %v", token, got, err, good)
		}
	}
}
