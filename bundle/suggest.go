package bundle

import "github.com/hostler-project/hostler/text/nearest"

// suggestion returns a hint for an unknown name: the most similar one of known.
func suggestion(name string, known []string) string {
	best := nearest.Of(name, known)
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}
