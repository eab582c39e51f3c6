// Package nearest finds, of the names that there are, the one that somebody meant who typed
// another. It looks at letters alone, so what the names are of is its caller's business, and so are
// the words in which it is offered.
package nearest

import (
	"slices"
	"strings"
)

// Of returns the one of known that is most like name, however little that is, and "" where known is
// empty. Case, and whether it is "-" or "_", count for nothing. Of those that are alike the first
// in order is it.
func Of(name string, known []string) (best string) {
	least := -1
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := Distance(fold(name), fold(k)); least < 0 || d < least {
			best, least = k, d
		}
	}
	return best
}

// Near returns the one of known that name may be a mistake for, and "" where none is near: as Of
// tells what is alike, and as Meant tells how far that goes.
func Near(name string, known []string) string {
	best := Of(name, known)
	if Distance(fold(name), fold(best)) > max(1, len(name)/2) {
		return ""
	}
	return best
}

// Meant returns the one of known that needs the fewest changed letters to be typed, and "" where
// half of it or more would be others: that is another word altogether. What was typed is none
// itself: it may be there for others and not for this.
func Meant(typed string, known []string) (best string) {
	limit := max(1, len(typed)/2)
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := Distance(typed, k); d <= limit && k != typed {
			best, limit = k, d-1
		}
	}
	return best
}

// fold makes one of what people mix up.
func fold(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "_")) }

// most is how many letters of a name are looked at: nobody mistypes longer ones, and the work grows
// with their product.
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
