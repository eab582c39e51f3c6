// Package nearest finds the known name that a user most likely meant by a mistyped one. It compares
// letters alone. What the names stand for, and the words of the suggestion, are its caller's
// business.
package nearest

import (
	"slices"
	"strings"
)

// Of returns the one of known that is most like name, however little, and "" if known is empty.
// Case does not count, nor "-" against "_". The first of equals wins.
func Of(name string, known []string) (best string) {
	least := -1
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := Distance(fold(name), fold(k)); least < 0 || d < least {
			best, least = k, d
		}
	}
	return best
}

// Near returns the one of known that name may be a mistake for: the nearest by Of. It returns "" if
// more than half of the letters differ.
func Near(name string, known []string) string {
	best := Of(name, known)
	if Distance(fold(name), fold(best)) > max(1, len(name)/2) {
		return ""
	}
	return best
}

// Meant returns the one of known that is the fewest changed letters away from typed. It returns ""
// if half of the letters or more would change, as that is another word altogether. It never returns
// typed itself, which may be known elsewhere and not here.
func Meant(typed string, known []string) (best string) {
	limit := max(1, len(typed)/2)
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := Distance(typed, k); d <= limit && k != typed {
			best, limit = k, d-1
		}
	}
	return best
}

// fold makes letters and signs that people mix up the same.
func fold(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "_")) }

// most is how many letters of a name are compared. Longer names are not mistyped as a whole, and
// the work grows with the product of the lengths.
const most = 64

// Distance counts the letters to insert, remove, change, or swap with their neighbour to get from a
// to b.
func Distance(a, b string) int {
	a, b = a[:min(len(a), most)], b[:min(len(b), most)]
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
