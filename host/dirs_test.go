package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRuntimeDirectory finds another's directory where the keeper's socket should be.
func TestRuntimeDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		name string
		make func(path string) error
		want string
	}{
		{"file", func(p string) error { return os.WriteFile(p, nil, 0o600) }, "not a directory"},
		{"link", func(p string) error { return os.Symlink(dir, p) }, "not a directory"},
		{"open", func(p string) error { return errors.Join(os.Mkdir(p, 0o700), os.Chmod(p, 0o777)) }, "open to others"},
		{"good", func(p string) error { return os.Mkdir(p, 0o700) }, ""},
		{"missing", func(string) error { return nil }, ""},
	} {
		path := filepath.Join(dir, test.name)
		if err := test.make(path); err != nil {
			t.Fatal(err)
		}
		_, err := ownDir(path)
		if got := fmt.Sprint(err); test.want == "" && err != nil || !strings.Contains(got, test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}
