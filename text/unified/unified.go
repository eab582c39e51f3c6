// Package unified compares texts line by line and writes what differs as diff -u does.
package unified

import (
	"fmt"
	"strings"
)

const most = 4000 // lines: the table of a comparison has a place for each pair

// lines are the lines of a text, each with its end. The last one says if it has none.
func lines(s string) []string {
	if s == "" {
		return nil
	}
	out := strings.SplitAfter(s, "\n")
	if last := len(out) - 1; out[last] == "" {
		out = out[:last]
	} else {
		out[last] += "\n\\ No newline at end of file\n"
	}
	return out
}

// edit is a line of a comparison, with how many lines of each side are before it.
type edit struct {
	op   byte
	text string
	i, j int
}

// compare lists the lines of both sides, those that are alike once.
func compare(a, b []string) (edits []edit) {
	from, to := 0, 0 // common lines at both ends need no table
	for from < len(a) && from < len(b) && a[from] == b[from] {
		edits = append(edits, edit{' ', a[from], from, from})
		from++
	}
	for to < len(a)-from && to < len(b)-from && a[len(a)-1-to] == b[len(b)-1-to] {
		to++
	}
	ma, mb := a[from:len(a)-to], b[from:len(b)-to]
	longest := make([][]uint16, len(ma)+1) // of what is left of both, the common lines
	for i := range longest {
		longest[i] = make([]uint16, len(mb)+1)
	}
	for i := len(ma) - 1; i >= 0; i-- {
		for j := len(mb) - 1; j >= 0; j-- {
			if ma[i] == mb[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(ma) || j < len(mb); {
		switch {
		case i < len(ma) && j < len(mb) && ma[i] == mb[j]:
			edits = append(edits, edit{' ', ma[i], from + i, from + j})
			i, j = i+1, j+1
		case i < len(ma) && (j == len(mb) || longest[i+1][j] >= longest[i][j+1]):
			edits = append(edits, edit{'-', ma[i], from + i, from + j})
			i++
		default:
			edits = append(edits, edit{'+', mb[j], from + i, from + j})
			j++
		}
	}
	for k := range to {
		edits = append(edits, edit{' ', a[len(a)-to+k], len(a) - to + k, len(b) - to + k})
	}
	return edits
}

// Diff returns the hunks of a unified diff of two texts, with three lines around each change and
// without the lines that name them; "": they are the same. Of more than 4,000 lines it says only
// that they are too many.
func Diff(was, is string) string {
	a, b := lines(was), lines(is)
	if len(a) > most || len(b) > most {
		return fmt.Sprintf("(%d lines to %d: too many to be compared)\n", len(a), len(b))
	}
	edits := compare(a, b)
	var out strings.Builder
	const around = 3
	for k := 0; k < len(edits); {
		if edits[k].op == ' ' {
			k++
			continue
		}
		first, last := max(0, k-around), k // the hunk ends where 2*around lines in a row are alike
		for n := k; n < len(edits) && n <= last+2*around; n++ {
			if edits[n].op != ' ' {
				last = n
			}
		}
		end := min(len(edits), last+1+around)
		na, nb := 0, 0
		for _, e := range edits[first:end] {
			if e.op != '+' {
				na++
			}
			if e.op != '-' {
				nb++
			}
		}
		fmt.Fprintf(&out, "@@ -%d,%d +%d,%d @@\n", edits[first].i+min(na, 1), na, edits[first].j+min(nb, 1), nb)
		for _, e := range edits[first:end] {
			out.WriteByte(e.op)
			out.WriteString(e.text)
		}
		k = end
	}
	return out.String()
}
