package shell_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/remote/shell"
)

func ExampleQuote() {
	fmt.Println(shell.Quote([]string{"echo", "it's", "$HOME", "", "a=b", "-n", "plain/path.txt"}))
	// Output: echo 'it'\''s' '$HOME' '' 'a=b' -n plain/path.txt
}

func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a", "it's", "'", "\n", "a\nb", "$x`y`", "\xff\xfe", "\\", "!", "#", "~", "a b", "--"} {
		f.Add(s, "second")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		words := []string{strings.ReplaceAll(a, "\x00", ""), strings.ReplaceAll(b, "\x00", "")}
		out, err := exec.Command("sh", "-c", `printf '%s\000' `+shell.Quote(words)).Output()
		if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); err != nil || !slices.Equal(got, words) {
			t.Errorf("%q came back as %q, %v", words, got, err)
		}
	})
}
