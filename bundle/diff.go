package bundle

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	diffSize  = 1 << 20 // larger files are not compared line by line
	diffLines = 4000
)

// diffs says of each file that is to be written what would change in it, where that was asked for.
func (a *applying) diffs(ctx context.Context, l *link) error {
	if !a.opt.Diff {
		return nil
	}
	var ask bytes.Buffer
	var files []*Outcome
	for i := range a.out {
		o := &a.out[i]
		if o.Step.Kind != KindFile || o.Action != Pending {
			continue
		}
		switch {
		case o.Step.Secret:
			o.Diff = o.Step.Name + ": (secrets may be in it, so it is not shown)\n"
		case o.Step.size > diffSize:
			o.Diff = o.Step.Name + ": (too large to be compared)\n"
		default:
			fmt.Fprintf(&ask, "%s\n", o.Step.Name)
			files = append(files, o)
		}
	}
	if len(files) == 0 {
		return nil
	}
	read, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { // ends with the command; the pipe is read to its end, or closed
		err := l.call(ctx, "read what is there", newToken(), farShow, &ask, out)
		_ = out.CloseWithError(io.EOF)
		ended <- err
	}()
	in := bufio.NewReader(read)
	for _, o := range files {
		var size int64
		line, err := in.ReadString('\n')
		if _, e := fmt.Sscan(line, &size); err != nil || e != nil {
			break
		}
		var was []byte
		if size > 0 {
			if was, err = io.ReadAll(io.LimitReader(in, min(size, diffSize+1))); err == nil {
				_, err = io.CopyN(io.Discard, in, size-int64(len(was)))
			}
		}
		if err != nil {
			break
		}
		o.Diff, err = a.diff(o.Step, was, size)
		if err != nil {
			_ = read.Close()
			<-ended
			return err
		}
	}
	_, _ = io.Copy(io.Discard, in)
	return <-ended
}

func (a *applying) diff(st *Step, was []byte, size int64) (string, error) {
	r, err := st.Open()
	if err != nil {
		return "", fmt.Errorf("%s: %w", st.Title(), err)
	}
	defer r.Close()
	is, err := io.ReadAll(io.LimitReader(r, diffSize+1))
	if err != nil {
		return "", fmt.Errorf("%s: %w", st.Title(), err)
	}
	if size > diffSize || bytes.IndexByte(was, 0) >= 0 || bytes.IndexByte(is, 0) >= 0 || !utf8.Valid(was) || !utf8.Valid(is) {
		return fmt.Sprintf("%s: (binary, %d bytes to %d)\n", st.Name, max(size, 0), len(is)), nil
	}
	if size < 0 {
		return "--- /dev/null\n+++ " + st.Name + "\n" + a.plan.Mask(unified(nil, lines(string(is)))), nil
	}
	return "--- " + st.Name + "\n+++ " + st.Name + "\n" + a.plan.Mask(unified(lines(string(was)), lines(string(is)))), nil
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	out := strings.SplitAfter(s, "\n")
	if last := len(out) - 1; out[last] == "" {
		out = out[:last]
	} else {
		out[last] += "\n\\ no line end\n"
	}
	return out
}

// unified returns the hunks of a unified diff, with three lines around each change.
func unified(a, b []string) string {
	if len(a) > diffLines || len(b) > diffLines {
		return fmt.Sprintf("(%d lines to %d: too many to be compared)\n", len(a), len(b))
	}
	type edit struct {
		op   byte
		text string
		i, j int // lines of a and b before it
	}
	var edits []edit
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
	i, j := 0, 0
	for i < len(ma) || j < len(mb) {
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
