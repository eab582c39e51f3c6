package scan

import (
	"fmt"
	"slices"
	"strings"
)

// Which files a sync leaves out is decided here: by neverSent and unsentDirs always, and by the
// rules of .hostlerignore and of the configuration. What git ignores is git's own answer (git.go).

// unsentDirs are directories of version control, and our own, which are never sent.
var unsentDirs = []string{".git", ".hg", ".svn", ".jj", ".hostler"}

func isUnsentDir(name string) bool { return slices.Contains(unsentDirs, name) }

// neverSent reports whether a path of a git work tree belongs to git or to hostler.
func neverSent(path string, dir bool) bool {
	if !strings.Contains(path, ".git") && !strings.Contains(path, ".hostler") {
		return false
	}
	for rest, more := path, true; more; {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		if part == ".git" || part == ".hostler" && (more || dir) {
			return true
		}
	}
	return false
}

// patterns are rules in gitignore's syntax, relative to a root. The last rule that matches a path
// decides. Nothing can be included again below an excluded directory. The zero value has no rules.
type patterns struct {
	rules []rule
}

// rule is one line.
type rule struct {
	negated  bool   // includes again
	dirOnly  bool   // matches directories only
	nameOnly bool   // has no slash, and matches the last part of a path
	prefix   string // the literal beginning
	rest     glob   // the rest; nil: nothing
}

// parsePatterns parses a file such as .hostlerignore. Like git, it refuses nothing, and a broken
// pattern matches nothing.
func parsePatterns(text string) patterns {
	var p patterns
	text = strings.TrimPrefix(text, "\ufeff")
	for line := range strings.Lines(text) {
		full := strings.HasSuffix(line, "\n")
		line = strings.TrimSuffix(line, "\n")
		if full {
			line = strings.TrimSuffix(line, "\r")
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		p.add(line)
	}
	return p
}

// newPatterns makes rules of words, as in a key of the configuration. What would be a comment in a
// file is a pattern here.
func newPatterns(words []string) (patterns, error) {
	var p patterns
	for _, w := range words {
		if strings.ContainsAny(w, "\x00\n") {
			return p, fmt.Errorf("pattern %q: no pattern has a newline or a NUL", w)
		}
		p.add(w)
	}
	return p, nil
}

// Then returns these rules followed by others.
func (p patterns) Then(q patterns) patterns {
	return patterns{rules: append(p.rules[:len(p.rules):len(p.rules)], q.rules...)}
}

// Empty reports whether there are no rules.
func (p patterns) Empty() bool { return len(p.rules) == 0 }

// add reads one pattern.
func (p *patterns) add(line string) {
	var r rule
	line = trimSpaces(line)
	if line, r.negated = strings.CutPrefix(line, "!"); line == "" {
		return
	}
	line, r.dirOnly = strings.CutSuffix(line, "/")
	r.nameOnly = !strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	r.prefix = line
	if i := strings.IndexAny(line, wildcard); i >= 0 {
		r.prefix = line[:i]
		r.rest = parseGlob(line[i:])
		if r.nameOnly {
			r.prefix, r.rest = "", parseGlob(line)
		}
	}
	p.rules = append(p.rules, r)
}

// trimSpaces removes trailing spaces, except one after a backslash.
func trimSpaces(line string) string {
	end := 0
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case ' ':
		case '\\':
			i++
			end = min(i+1, len(line))
		default:
			end = i + 1
		}
	}
	return line[:end]
}

// match reports whether a rule matches a path whose last part is name.
func (r *rule) match(path, name string, dir bool) bool {
	if r.dirOnly && !dir {
		return false
	}
	text := path
	if r.nameOnly {
		text = name
	}
	rest, ok := strings.CutPrefix(text, r.prefix)
	if !ok {
		return false
	}
	if r.rest == nil {
		return rest == ""
	}
	return r.rest.match(rest)
}

// verdict returns what the rules say of a path alone, without the directories above it.
func (p patterns) verdict(path string, dir bool) (matched, out bool) {
	name := path[strings.LastIndexByte(path, '/')+1:]
	for i := len(p.rules) - 1; i >= 0; i-- {
		if r := &p.rules[i]; r.match(path, name, dir) {
			return true, !r.negated
		}
	}
	return false, false
}

// Match reports whether the rules match a path or a directory above it. The path is relative to the
// root, and dir says whether it is a directory.
func (p patterns) Match(path string, dir bool) bool {
	for i := range path {
		if path[i] == '/' {
			if _, out := p.verdict(path[:i], true); out {
				return true
			}
		}
	}
	_, out := p.verdict(path, dir)
	return out
}

// mayMatchBelow reports whether a rule may match something below a directory.
func (p patterns) mayMatchBelow(dir string) bool {
	return slices.ContainsFunc(p.rules, func(r rule) bool {
		return !r.negated && (r.nameOnly || strings.HasPrefix(r.prefix, dir+"/") || r.rest != nil && strings.HasPrefix(dir+"/", r.prefix))
	})
}

// filter applies patterns to many paths in order. It remembers the results for the directories
// above the last path.
type filter struct {
	patterns
	dirs map[string]bool // whether directories are matched
}

func (p patterns) filter() *filter { return &filter{patterns: p, dirs: map[string]bool{}} }

// out is Match.
func (f *filter) out(path string, dir bool) bool {
	if f.Empty() {
		return false
	}
	if parent, _, ok := cutLast(path); ok && f.dirOut(parent) {
		return true
	}
	_, out := f.verdict(path, dir)
	return out
}

func (f *filter) dirOut(dir string) bool {
	out, known := f.dirs[dir]
	if !known {
		out = f.out(dir, true)
		f.dirs[dir] = out
	}
	return out
}
