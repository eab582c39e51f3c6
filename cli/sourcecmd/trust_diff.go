package sourcecmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/text/visible"
)

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

// write writes a thing that needs trust, and how it differs from what was approved.
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

// write writes a file that such a thing runs, and how it differs.
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
