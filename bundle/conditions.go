package bundle

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// condition is one test of a fact: "os == linux", "system ~ debian*", "cores >= 4", "tool.git",
// "!tool.rpm". In a list, all must hold.
type condition struct {
	Fact, Op, Value string // Op "": the fact is there and not empty; "!": it is not
}

// Facts are what is known of a computer, by name. Beside FactNames there are tool.NAME, the path of
// a program on it, and fact.NAME, a fact of its provider.
type Facts map[string]string

// FactNames are the facts of a computer: from its source, and from the computer itself.
var FactNames = []string{
	"id", "name", "source", "provider_id", "address", "region", "image", "flavor",
	"os", "arch", "kernel", "hostname", "system", "distribution", "release", "cores", "memory", "disk", "user",
}

// inside are the facts that only the computer itself has.
var inside = []string{"os", "arch", "kernel", "hostname", "system", "distribution", "release", "cores", "memory", "disk", "user"}

// parseConditions reads conditions between commas.
func parseConditions(text string) ([]condition, error) {
	var out []condition
	for _, s := range list(text) {
		c := condition{}
		i := strings.IndexAny(s, "=!~<>")
		switch {
		case strings.HasPrefix(s, "!"):
			c = condition{Fact: strings.TrimSpace(s[1:]), Op: "!"}
		case i < 0:
			c = condition{Fact: s}
		default:
			op := s[i : i+1]
			if i+1 < len(s) && strings.ContainsRune("=~", rune(s[i+1])) {
				op = s[i : i+2]
			}
			c = condition{strings.TrimSpace(s[:i]), op, strings.TrimSpace(s[i+len(op):])}
			if op == "=" {
				c.Op = "=="
			}
		}
		if !slices.Contains([]string{"", "!", "==", "!=", "~", "!~", "<", "<=", ">", ">="}, c.Op) {
			return nil, fmt.Errorf("%q: there is no comparison %q; there are == != ~ !~ < <= > >=", s, c.Op)
		}
		if c.Op == "~" || c.Op == "!~" {
			if _, err := path.Match(c.Value, ""); err != nil {
				return nil, fmt.Errorf("%q: %q is no pattern", s, c.Value)
			}
		}
		if strings.HasPrefix(c.Op, "<") || strings.HasPrefix(c.Op, ">") {
			if _, ok := number(c.Value); !ok {
				return nil, fmt.Errorf("%q: %q is no number, size or version", s, c.Value)
			}
		}
		if !knownFact(c.Fact) {
			return nil, fmt.Errorf(
				"%q: there is no fact %q%s", s, c.Fact,
				suggestion(c.Fact, append([]string{"tool.NAME", "fact.NAME"}, FactNames...)),
			)
		}
		out = append(out, c)
	}
	return out, nil
}

// knownFact reports whether a condition may name a fact. tool.NAME and fact.NAME allow any name
// without blanks, slashes, quotes and the like.
func knownFact(name string) bool {
	kind, rest, ok := strings.Cut(name, ".")
	if ok {
		return (kind == "tool" || kind == "fact") && rest != "" && !strings.ContainsFunc(rest, func(c rune) bool {
			return c <= ' ' || c == 0x7f || strings.ContainsRune("/'\"$`\\", c)
		})
	}
	return slices.Contains(FactNames, name)
}

func (c condition) String() string {
	switch c.Op {
	case "", "!":
		return c.Op + c.Fact
	}
	return c.Fact + " " + c.Op + " " + c.Value
}

// holds reports whether the condition is true of a computer.
func (c condition) holds(f Facts) bool {
	have := f[c.Fact]
	switch c.Op {
	case "":
		return have != ""
	case "!":
		return have == ""
	case "==":
		return have == c.Value
	case "!=":
		return have != c.Value
	case "~", "!~":
		ok, _ := path.Match(c.Value, have)
		return ok == (c.Op == "~")
	}
	a, ok := number(have)
	if !ok {
		return false // an unknown fact is neither more nor less
	}
	b, _ := number(c.Value)
	switch n := slices.Compare(a, b); c.Op {
	case "<":
		return n < 0
	case "<=":
		return n <= 0
	case ">":
		return n > 0
	}
	return slices.Compare(a, b) >= 0
}

// firstFalse returns the first condition that does not hold, or "".
func firstFalse(cs []condition, f Facts) string {
	for _, c := range cs {
		if !c.holds(f) {
			return c.String()
		}
	}
	return ""
}

// number reads a number, a size (4G, in powers of 1024) or a version (22.04).
func number(s string) ([]int64, bool) {
	if s == "" {
		return nil, false
	}
	if i := strings.IndexByte("KMGT", s[len(s)-1]); i >= 0 {
		n, err := strconv.ParseInt(s[:len(s)-1], 10, 32)
		return []int64{n << (10 * (i + 1))}, err == nil
	}
	var out []int64
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return nil, false
		}
		out = append(out, n)
	}
	return out, true
}
