package cfg

import (
	"strings"

	"github.com/hostler-project/hostler/policy/fetch"
)

// Fetch reads a key with where to fetch from: its words, and what they mean.
func (f *File) Fetch(section, key string) (words []string, rules fetch.Rules, err error) {
	text, err := f.Text(section, key)
	if err != nil {
		return nil, nil, err
	}
	words = strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \t\n", r) })
	if rules, err = fetch.Parse(words); err != nil {
		return nil, nil, f.Fail(section, key, "has what it cannot: %v", err)
	}
	return words, rules, nil
}
