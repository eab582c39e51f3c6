package term

import "github.com/hostler-project/hostler/text/nearest"

// DidYouMean suggests the most similar name; "" if there is none.
func DidYouMean(typed string, names []string, prefix string) string {
	if n := nearest.Meant(typed, names); n != "" {
		return "did you mean " + prefix + n + "?"
	}
	return ""
}
