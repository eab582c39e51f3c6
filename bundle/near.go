package bundle

import "github.com/hostler-project/hostler/text/nearest"

// near returns what to add to an error about a name that is not known: the one of known that is
// most like it.
func near(name string, known []string) string {
	best := nearest.Of(name, known)
	if best == "" {
		return ""
	}
	return "; the nearest known is " + best
}
