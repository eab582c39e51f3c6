package main

import (
	"os"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/provider/sandbox/mask"
)

// TestHiddenIsDocumented holds docs/sandbox.md to what sandboxes hide. With HOSTLER_UPDATE set the
// page is written anew.
func TestHiddenIsDocumented(t *testing.T) {
	const page, begin, end = "../../docs/sandbox.md", "-run Hidden -->\n", "<!-- end of hidden -->"
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the list", page)
	}
	want := before + begin + "\n" + mask.Markdown() + end + after
	if want == string(data) {
		return
	}
	if os.Getenv("HOSTLER_UPDATE") == "" {
		t.Fatalf("%s does not say what is hidden; HOSTLER_UPDATE=1 writes it\n%s", page, difference(string(data), want))
	}
	if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
