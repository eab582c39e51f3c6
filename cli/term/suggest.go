package term

import "github.com/hostler-project/hostler/text/nearest"

// DidYouMean suggests the name that is nearest to what was typed; "" if none is near.
func DidYouMean(typed string, names []string, prefix string) string {
	if n := nearest.Meant(typed, names); n != "" {
		return "did you mean " + prefix + n + "?"
	}
	return ""
}
