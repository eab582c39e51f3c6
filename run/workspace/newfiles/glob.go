package newfiles

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Pattern is a glob for paths below a directory. *, ? and [...] match within a name, ** any number
// of directories.
type Pattern struct {
	text  string
	names []string
}

// Parse parses and checks a pattern.
func Parse(text string) (Pattern, error) {
	if text == "" {
		return Pattern{}, errors.New("an empty pattern matches nothing")
	}
	if strings.ContainsRune(text, 0) {
		return Pattern{}, fmt.Errorf("%q: no name has a NUL", text)
	}
	if path.IsAbs(text) {
		return Pattern{}, fmt.Errorf("%s: begins with /, and only what is below the command's directory is brought back", text)
	}
	names := strings.Split(path.Clean(text), "/")
	if slices.Contains(names, "..") || names[0] == "." {
		return Pattern{}, fmt.Errorf("%s: leads out of the command's directory, or to itself", text)
	}
	for _, n := range names {
		if _, err := path.Match(n, ""); err != nil {
			return Pattern{}, fmt.Errorf("%s: is no pattern: is a [ not closed?", text)
		}
	}
	return Pattern{text, names}, nil
}

// Literal returns the pattern that matches only this path.
func Literal(file string) (Pattern, error) {
	p, err := Parse(escape(file))
	if err != nil {
		_, err = Parse(file) // an error with the given words
	}
	p.text = file
	return p, err
}

func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(s)
}

// String returns the pattern as it was given.
func (p Pattern) String() string { return p.text }

// Match reports whether the pattern matches a path.
func (p Pattern) Match(file string) bool { return match(p.names, strings.Split(file, "/")) }

// match reports whether the pattern's names match the parts of a path. A "**" takes any number
// of parts, and at the end at least one.
func match(names, parts []string) bool {
	// Only the last ** needs to take one more directory, so nothing is tried twice.
	again, from := -1, 0
	i, j := 0, 0
	for j < len(parts) {
		if i < len(names) && names[i] == "**" {
			again, from = i, j
			i++
			continue
		}
		if i < len(names) {
			if ok, _ := path.Match(names[i], parts[j]); ok {
				i, j = i+1, j+1
				continue
			}
		}
		if again < 0 {
			return false
		}
		from++
		i, j = again+1, from
	}
	// ** at the end matches the files below, so it must take at least one name
	for i < len(names) && names[i] == "**" && i != len(names)-1 {
		i++
	}
	return i == len(names) || i == len(names)-1 && names[i] == "**" && again == i
}

// base returns the directory above the first name with a wildcard; "" for the whole.
func (p Pattern) base() string {
	n := 0
	for n < len(p.names)-1 && !strings.ContainsAny(p.names[n], `*?[\`) {
		n++
	}
	return path.Join(p.names[:n]...)
}

// expression is for find, so that it enters only directories in which a pattern can match.
func expression(patterns []Pattern) []string {
	var enter []string
	for _, p := range patterns {
		base := p.base()
		if base == "" {
			return []string{"-type", "f"}
		}
		for dir := base; dir != "."; dir = path.Dir(dir) {
			enter = append(enter, "./"+dir)
		}
		enter = append(enter, "./"+base+"/*")
	}
	slices.Sort(enter)
	out := []string{"-type", "d", "!", "(", "-path", "."}
	for _, e := range slices.Compact(enter) {
		dir, below := strings.CutSuffix(e, "/*")
		dir = escape(dir)
		if below {
			dir += "/*"
		}
		out = append(out, "-o", "-path", dir)
	}
	return append(out, ")", "-prune", "-o", "-type", "f")
}
