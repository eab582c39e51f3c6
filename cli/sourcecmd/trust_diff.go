package sourcecmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/text/unified"
	"github.com/hostler-project/hostler/text/visible"
)

// viewTrust describes a root by its difference from what was approved, or else from the machine
// without the tree.
func viewTrust(d config.Danger) trustView {
	v := trustView{
		Root: d.Root, Digest: d.Digest, Trusted: d.Trusted, Items: []trustItem{}, Gone: []string{},
		Risks: append([]config.Risk{}, d.Risks...),
	}
	for _, it := range d.Items {
		one := trustItem{Name: it.Name, State: string(it.State), Source: it.Source, File: it.File, Line: it.Line, Effect: it.Effect,
			Says: slices.Concat([]string{}, it.Says), Before: slices.Concat([]string{}, it.Machine),
			Files: []trustFile{}, Reasons: append([]config.Risk{}, it.Risks...)}
		var was []config.BoundFile
		switch it.State {
		case config.ItemChanged:
			one.Before, was = slices.Concat([]string{}, it.Was.Says), it.Was.Files
		case config.ItemApproved:
			one.Before, was = one.Says, it.Files
		}
		one.Files = viewFiles(was, it.Files)
		v.Items = append(v.Items, one)
	}
	for _, a := range d.Gone {
		v.Gone = append(v.Gone, a.Name)
	}
	return v
}

// viewFiles compares files with their approved contents.
func viewFiles(was, is []config.BoundFile) []trustFile {
	out := []trustFile{}
	at := func(in []config.BoundFile, path string) int {
		return slices.IndexFunc(in, func(f config.BoundFile) bool { return f.Path == path })
	}
	for _, f := range is {
		one := trustFile{Path: f.Path, State: "new", Lines: strings.Count(f.Text, "\n")}
		if i := at(was, f.Path); i >= 0 && was[i].Digest == f.Digest {
			one.State = "approved"
		} else if i >= 0 {
			one.State = "changed"
			if was[i].Text != "" && f.Text != "" {
				one.Diff = unified.Diff(was[i].Text, f.Text)
			}
		}
		out = append(out, one)
	}
	for _, f := range was {
		if at(is, f.Path) < 0 {
			out = append(out, trustFile{Path: f.Path, State: "gone"})
		}
	}
	return out
}

// text formats the view for the user. Any part of it may come from the tree.
func (v trustView) text() string {
	var b strings.Builder
	word := "waits for approval"
	if v.Trusted {
		word = "approved"
	}
	fmt.Fprintf(&b, "%s: %s\n", term.Line(v.Root), word)
	for _, it := range v.Items {
		it.write(&b)
	}
	for _, name := range v.Gone {
		fmt.Fprintf(&b, "  %s: was approved, and is not there any more\n", term.Line(name))
	}
	return b.String()
}

func (it trustItem) write(b *strings.Builder) {
	state := map[string]string{"approved": "approved: ", "changed": "changed since it was approved: "}[it.State]
	if it.State == string(config.ItemNew) && len(it.Before) == 0 {
		state = "is new: "
	}
	fmt.Fprintf(b, "  %s: %s%s\n", term.Line(it.Name), state, term.Line(it.Effect))
	if it.State == string(config.ItemApproved) {
		return
	}
	for _, r := range it.Reasons {
		place := r.File
		if r.Line > 0 {
			place = fmt.Sprintf("%s:%d", r.File, r.Line)
		}
		fmt.Fprintf(b, "    %s: %s\n", term.Line(place), term.Line(r.Why))
	}
	for _, line := range it.Before {
		if !slices.Contains(it.Says, line) {
			fmt.Fprintf(b, "    - %s\n", term.Line(line))
		}
	}
	for _, line := range it.Says {
		sign := "+"
		if slices.Contains(it.Before, line) {
			sign = " "
		}
		fmt.Fprintf(b, "    %s %s\n", sign, term.Line(line))
	}
	for _, f := range it.Files {
		f.write(b)
	}
}

func (f trustFile) write(b *strings.Builder) {
	lines := f.State
	if f.Lines > 0 {
		lines += fmt.Sprintf(", %d lines", f.Lines)
	}
	fmt.Fprintf(b, "    file %s (%s)\n", term.Line(f.Path), lines)
	for line := range strings.Lines(f.Diff) {
		b.WriteString("      " + string(visible.Block(line)))
	}
}
