package deploy

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

const (
	letters  = "abcdefghijklmnopqrstuvwxyz0123456789"
	made     = 6 // letters of a made-up name, all different: 1.4e9 names
	maxLabel = 63
	maxName  = 253
)

// RandomName returns the prefix with six different letters or digits. intn returns a number
// below n; nil: a random one.
func RandomName(prefix string, intn func(n int) int) string {
	if intn == nil {
		intn = rand.IntN
	}
	pool := []byte(letters)
	for i := range made { // a partial shuffle
		j := i + intn(len(pool)-i)
		pool[i], pool[j] = pool[j], pool[i]
	}
	return prefix + string(pool[:made])
}

// CheckName refuses a name that cannot be a host's (RFC 1123). It has labels with dots between.
// They have letters, digits and -, but no - at the ends.
func CheckName(name string) error {
	bad := func(format string, args ...any) error {
		return &compute.Error{Kind: compute.ErrInvalid,
			Err:  fmt.Errorf("%q cannot be a node's name: %s", name, fmt.Sprintf(format, args...)),
			Hint: "letters, digits and -, with dots between the parts: web-1 or web-1.example.com"}
	}
	if len(name) > maxName {
		return bad("it has %d letters, and %d are allowed", len(name), maxName)
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return bad("a part of it is empty")
		case len(label) > maxLabel:
			return bad("%q has %d letters, and %d are allowed", label, len(label), maxLabel)
		case strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-"):
			return bad("%q begins or ends with -", label)
		}
		if i := strings.IndexFunc(
			label, func(c rune) bool { return !strings.ContainsRune(letters+"ABCDEFGHIJKLMNOPQRSTUVWXYZ-", c) },
		); i >= 0 {
			return bad("%q is not allowed in it", string([]rune(label[i:])[0]))
		}
	}
	return nil
}

// Numbered returns n names made of one: the name itself for one node, else with -1, -2, ... after
// its first label.
func Numbered(name string, n int) []string {
	if n == 1 {
		return []string{name}
	}
	head, tail, dot := strings.Cut(name, ".")
	if dot {
		tail = "." + tail
	}
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s-%d%s", head, i+1, tail)
	}
	return out
}

// Combined returns a name for each combination of values. The values follow the name's first label,
// with - for what a name cannot have. Equal names get a number too. ErrInvalid says that a value
// has no letter or digit.
func Combined(name string, combinations [][]string) ([]string, error) {
	head, tail, dot := strings.Cut(name, ".")
	if dot {
		tail = "." + tail
	}
	out, times := make([]string, len(combinations)), map[string]int{}
	for i, values := range combinations {
		out[i] = head
		for _, v := range values {
			word := part(v)
			if word == "" {
				return nil, &compute.Error{
					Kind: compute.ErrInvalid,
					Err:  fmt.Errorf("%q cannot be part of a node's name: it has no letter and no digit", v),
				}
			}
			out[i] += "-" + word
		}
		times[out[i]]++
	}
	nth := map[string]int{}
	for i, s := range out {
		if times[s] > 1 {
			nth[s]++
			out[i] = fmt.Sprintf("%s-%d", s, nth[s])
		}
		out[i] += tail
	}
	return out, nil
}

// part converts a value for use in a label.
func part(value string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(value) {
		if strings.ContainsRune(letters, c) {
			b.WriteRune(c)
		} else if s := b.String(); s != "" && s[len(s)-1] != '-' {
			b.WriteByte('-')
		}
	}
	return strings.TrimSuffix(b.String(), "-")
}

// shortName returns a node's name up to the first dot.
func shortName(name string) string {
	short, _, _ := strings.Cut(name, ".")
	return short
}
