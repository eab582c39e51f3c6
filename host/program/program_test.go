package program

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestBeside makes sure that no file of another user is taken for the whole program.
func TestBeside(t *testing.T) {
	dir := t.TempDir()
	self, whole := filepath.Join(dir, "hostler"), filepath.Join(dir, Whole)
	if err := os.WriteFile(self, nil, 0o755); err != nil {
		t.Fatalf("WriteFile: %v", err)
	}
	try := func(what, want string) {
		t.Helper()
		if got, _ := beside(self, Whole); got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	try("alone", "")
	if err := os.WriteFile(whole, nil, 0o755); err != nil {
		t.Fatalf("WriteFile: %v", err)
	}
	try("our own", whole)
	for _, c := range []struct {
		mode os.FileMode
		want string
	}{{0o644, ""}, {0o757, ""}, {0o555, whole}} {
		if err := os.Chmod(whole, c.mode); err != nil {
			t.Fatalf("Chmod: %v", err)
		}
		try(c.mode.String(), c.want)
	}
	link := filepath.Join(t.TempDir(), "h")
	if err := os.Symlink(self, link); err != nil {
		t.Fatalf("Symlink: %v", err)
	}
	if got, _ := beside(link, Whole); filepath.Base(got) != Whole {
		t.Errorf("by a link: got %q, want the one beside what it leads to", got)
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(whole, 65534, 65534); err != nil {
		t.Fatalf("Chown: %v", err)
	}
	try("of another user", "")
	if err := os.Chown(self, 65534, 65534); err != nil {
		t.Fatalf("Chown: %v", err)
	}
	try("of hostler's own owner", whole)
}

// TestMarked makes sure that the build stands once in an environment.
func TestMarked(t *testing.T) {
	got := Marked([]string{"A=b", buildVariable + "=other", "C=d"})
	if want := []string{"A=b", "C=d", buildVariable + "=" + build()}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
