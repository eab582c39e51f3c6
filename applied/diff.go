package applied

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hostler-project/hostler/api"
)

const (
	diffSize  = 1 << 20 // bytes; larger files are not compared line by line
	diffLines = 4000
)

// Diff is a unified diff of a thing's labels and files; "": they are the same. Either may be nil. A private key is in none.
func Diff(was, now *api.AppliedThing) string {
	var out strings.Builder
	t, old, new := now, map[string]api.ThingFile{}, map[string]api.ThingFile{}
	var oldLabels, newLabels string
	if was != nil {
		t, oldLabels = was, Labels(was.Labels)
		for _, f := range was.Files {
			old[f.Path] = f
		}
	}
	if now != nil {
		newLabels = Labels(now.Labels)
		for _, f := range now.Files {
			new[f.Path] = f
		}
	}
	if t == nil {
		return ""
	}
	top := Path(t.Kind, t.Name)
	if oldLabels != newLabels {
		out.WriteString(header(top+" (labels)", oldLabels != "", newLabels != "") + unified(lines(oldLabels), lines(newLabels)))
	}
	paths := maps.Clone(old)
	maps.Copy(paths, new)
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		a, had := old[p]
		b, has := new[p]
		path := top + "/" + p
		if had && has && modeOf(a) != modeOf(b) {
			fmt.Fprintf(&out, "%s: mode %04o to %04o\n", path, modeOf(a), modeOf(b))
		}
		x, y := Data(a), Data(b)
		switch {
		case had && has && bytes.Equal(x, y):
		case isKey(x) || isKey(y):
			fmt.Fprintf(&out, "%s: (a private key is in it, so it is not shown)\n", path)
		case !isText(x) || !isText(y):
			fmt.Fprintf(&out, "%s: (binary, %d bytes to %d)\n", path, len(x), len(y))
		default:
			out.WriteString(header(path, had, has) + unified(lines(string(x)), lines(string(y))))
		}
	}
	return out.String()
}

// header is the two lines above the hunks of a file.
func header(path string, had, has bool) string {
	from, to := "a/"+path, "b/"+path
	if !had {
		from = "/dev/null"
	}
	if !has {
		to = "/dev/null"
	}
	return "--- " + from + "\n+++ " + to + "\n"
}

func isKey(data []byte) bool { return bytes.Contains(data, []byte("PRIVATE KEY-----")) }

func isText(data []byte) bool {
	return len(data) <= diffSize && utf8.Valid(data) && bytes.IndexByte(data, 0) < 0
}

// Labels are labels as lines, KEY=VALUE, in order.
func Labels(all map[string]string) string {
	var out strings.Builder
	for _, key := range slices.Sorted(maps.Keys(all)) {
		out.WriteString(key + "=" + all[key] + "\n")
	}
	return out.String()
}

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
	from, to := 0, 0 // what is alike at both ends needs no table
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

// unified returns the hunks of a unified diff, with three lines around each change.
func unified(a, b []string) string {
	if len(a) > diffLines || len(b) > diffLines {
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
