package strategy

import (
	"fmt"
	"strconv"
	"strings"
)

// Bounds are numbers of nodes for images on flavors.
type Bounds []Bound

// Bound is a number of nodes. Flavor and Image are names, or patterns as for path.Match.
type Bound struct {
	Flavor, Image string
	Nodes         int
}

// Of returns the first bound for an image, by its name, on a flavor. ok is false if there is none.
func (b Bounds) Of(flavor, image string) (nodes int, ok bool) {
	for i := range b {
		if match(b[i].Flavor, flavor) && match(b[i].Image, image) {
			return b[i].Nodes, true
		}
	}
	return 0, false
}

// ParseBounds reads lines or comma-separated parts of the form FLAVOR/IMAGE: NODES, with names or
// patterns. The flavor ends at the first slash.
func ParseBounds(s string) (out Bounds, err error) {
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == '\n' }) {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		names, number, _ := cutLast(word, ":")
		flavor, image, _ := strings.Cut(strings.TrimSpace(names), "/")
		n, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil || n < 0 || !pattern(flavor) || !pattern(image) {
			return nil, fmt.Errorf("%q: not FLAVOR/IMAGE: NODES", word)
		}
		out = append(out, Bound{flavor, image, n})
	}
	return out, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
