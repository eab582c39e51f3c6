package flavor

import (
	"fmt"
	"regexp"
	"strings"
)

// ParseSets reads classes of hardware as a source writes them: "^small,^tiny;^big" is two, the
// first of two regular expressions. Its errors are ErrRegex.
func ParseSets(text string) (sets [][]string, err error) {
	for class := range strings.SplitSeq(text, ";") {
		var set []string
		for w := range strings.SplitSeq(class, ",") {
			if w = strings.TrimSpace(w); w == "" {
				continue
			}
			if _, err := regexp.Compile(w); err != nil {
				return nil, fmt.Errorf("%w: %w", errRegex, err)
			}
			set = append(set, w)
		}
		if len(set) > 0 {
			sets = append(sets, set)
		}
	}
	return sets, nil
}
