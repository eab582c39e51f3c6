package term

import (
	"os"
	"path/filepath"
	"testing"
)

// TestCheckPlace says in one line what is wrong with the place of a file.
func TestCheckPlace(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"": "", "-": "", dir + "/new": "", dir + "/file": "",
		dir + "/none/x": "--report " + dir + "/none/x: no such file or directory",
		dir + "/file/x": "--report " + dir + "/file/x: its directory is a file",
		dir:             "--report " + dir + ": it is a directory",
	} {
		if got := TextOf(CheckPlace("--report", file)); got != want {
			t.Errorf("%q: got %q, want %q", file, got, want)
		}
	}
}
