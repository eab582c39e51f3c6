package bundle

import (
	"slices"
	"strings"
)

// nearest returns what to add to an error about a name that is not known: the one of known that is most like it.
func nearest(name string, known []string) string {
	best, least := "", 0
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := distance(fold(strings.ToLower(name)), fold(strings.ToLower(k))); best == "" || d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "; the nearest known is " + best
}

// fold makes "-" and "_" one, as in keys.
func fold(s string) string { return strings.ReplaceAll(s, "-", "_") }

// distance counts the letters to insert, remove or change to get from a to b.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)] // nobody mistypes longer names
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(row[j+1]+1, row[j]+1, change)
		}
	}
	return row[len(b)]
}
