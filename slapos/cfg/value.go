package cfg

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxDepth is how many other keys a value may lead through.
const maxDepth = 10

// Sections are the names of the sections, in their order.
func (f *File) Sections() []string { return slices.Clone(f.order) }

// Text is the value of a key, with the values that it names in it; "" where the key is not there.
// [DEFAULT] holds for all sections.
func (f *File) Text(section, key string) (string, error) {
	v, ok := f.find(section, fold(key))
	if !ok {
		return "", nil
	}
	text, reason := f.expand(section, v.text, 0)
	if reason != "" {
		return "", f.Fail(section, key, "%s", reason)
	}
	return text, nil
}

// Has says whether a key is there.
func (f *File) Has(section, key string) bool {
	_, ok := f.find(section, fold(key))
	return ok
}

// First is the value of a key in the first of some sections that has it.
func (f *File) First(key string, sections ...string) (string, error) {
	for _, section := range sections {
		if f.Has(section, key) {
			return f.Text(section, key)
		}
	}
	return "", nil
}

// Lines are the lines of a value that are not empty.
func (f *File) Lines(section, key string) ([]string, error) {
	text, err := f.Text(section, key)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// Fail makes the error that a key's value is wrong: the reason goes on with a sentence that begins
// with the key. The value itself is not told but by the reason.
func (f *File) Fail(section, key, reason string, args ...any) error {
	v, ok := f.find(section, fold(key))
	if !ok {
		v.key = key
	}
	return &Error{Path: f.Path, Line: v.line, Section: section, Key: v.key, Reason: fmt.Sprintf(reason, args...)}
}

func (f *File) find(section, key string) (value, bool) {
	v, ok := f.sections[section][key]
	if !ok {
		v, ok = f.sections["DEFAULT"][key]
	}
	return v, ok
}

// expand replaces %(key)s by values, and %% by %. It returns the text, and what is wrong with it,
// or "".
func (f *File) expand(section, text string, depth int) (string, string) {
	if depth > maxDepth {
		return "", fmt.Sprintf("goes through more than %d other keys", maxDepth)
	}
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "%")
		b.WriteString(before)
		if !ok {
			return b.String(), ""
		}
		if after, ok := strings.CutPrefix(rest, "%"); ok {
			b.WriteByte('%')
			text = after
			continue
		}
		name, after, ok := strings.Cut(rest, ")s")
		name, open := strings.CutPrefix(name, "(")
		if !ok || !open {
			return "", "has a %, which is written %% where it does not begin %(key)s"
		}
		v, ok := f.find(section, fold(name))
		if !ok {
			return "", fmt.Sprintf("names %%(%s)s, and there is no %s in [%s]", name, name, section)
		}
		inner, reason := f.expand(section, v.text, depth+1)
		if reason != "" {
			return "", reason
		}
		if b.WriteString(inner); b.Len() > maxSize {
			return "", "is too long with the values that it names"
		}
		text = after
	}
}

// Home is a path with the user's home in place of ~ at its begin.
func Home(path string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || rest[0] == '/') {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return path
}
