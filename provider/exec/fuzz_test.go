package exec_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	provider "github.com/hostler-project/hostler/provider/exec"
)

// FuzzAnswer reads any answer: nothing in it may break hostler or the terminal on which it is
// shown.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{}`, ``, `{"instances":[{"id":"s-1","provider_id":"x","address":"h","facts":{"os":"linux"}}]}`,
		`{"error":{"kind":"not-found","message":"gone","hint":"h."}}`,
		`{"error":null,"instances":null}`, `{"exec":{"prefix":["sh","-c"],"root":"/"}}`,
		`{"ssh":{"host":"h","port":-1}}`, `{"names":["a","a"]}`, `{"abilities":["clean"]}`,
		`{"instances":[{"id":"\u0000"}]}`, `{"instances":[{"id":"a b"}]}`, "{\"error\":{\"message\":\"\x1b[31m\xff\"}}",
		`[{}]`, `{}{}`, `{"checked":`, `{"instances":[{"id":"s"},{"id":"s"}]}`,
		strings.Repeat(`{"x":`, 20000), `{"instances":[{"id":"s-1","provider_id":"\u001b]0;x\u0007"}]}`,
		`{"instances":[{"id":"s-1","address":"h\u0000"}]}`,
		`{"instances":[{"id":"s-1","facts":{"a":"b\nc","d\u202e":"e"}}]}`,
		`{"ssh":{"host":"h\r","user":"u","key_file":"/k\u0000"}}`,
		`{"exec":{"prefix":["sh\u0000"],"dir":"/\u007f"}}`,
	} {
		f.Add([]byte(s))
	}
	visible := func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }
	f.Fuzz(func(t *testing.T, data []byte) {
		ids, names, words, said, err := provider.Parse(data)
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
		for _, w := range words {
			if len(w) > 1024 || !utf8.ValidString(w) || strings.ContainsFunc(w, func(r rune) bool { return !unicode.IsGraphic(r) }) {
				t.Errorf("a value that is not fit to be shown: %q", w)
			}
		}
		if len(words) > len(ids)*2*(64+1)+2 {
			t.Errorf("%d values for %d instances", len(words), len(ids))
		}
		if said != nil {
			if s := said.Error(); !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || len(s) > 5000 {
				t.Errorf("an error that is not fit to be shown: %q", s)
			}
		}
	})
}
