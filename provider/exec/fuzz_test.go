package exec_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	provider "github.com/hostler-project/hostler/provider/exec"
)

// FuzzAnswer reads any answer: nothing in it may break hostler or the terminal on which it is shown.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{}`, ``, `{"instances":[{"id":"s-1","provider_id":"x","address":"h","facts":{"os":"linux"}}]}`, `{"error":{"kind":"not-found","message":"gone","hint":"h."}}`,
		`{"error":null,"instances":null}`, `{"exec":{"prefix":["sh","-c"],"root":"/"}}`, `{"ssh":{"host":"h","port":-1}}`, `{"names":["a","a"]}`, `{"abilities":["clean"]}`,
		`{"instances":[{"id":"\u0000"}]}`, `{"instances":[{"id":"a b"}]}`, "{\"error\":{\"message\":\"\x1b[31m\xff\"}}", `[{}]`, `{}{}`, `{"checked":`, `{"instances":[{"id":"s"},{"id":"s"}]}`,
		strings.Repeat(`{"x":`, 20000),
	} {
		f.Add([]byte(s))
	}
	visible := func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }
	f.Fuzz(func(t *testing.T, data []byte) {
		ids, names, said, err := provider.Parse(data)
		if err != nil {
			return
		}
		for _, list := range [][]string{ids, names} {
			seen := map[string]bool{}
			for _, id := range list {
				if id == "" || seen[id] || !utf8.ValidString(id) || strings.ContainsFunc(id, func(r rune) bool { return !visible(r) }) {
					t.Errorf("a name that is none was taken: %q", id)
				}
				seen[id] = true
			}
		}
		if said != nil {
			if s := said.Error(); !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || len(s) > 5000 {
				t.Errorf("an error that is not fit to be shown: %q", s)
			}
		}
	})
}
