package runcmd

import (
	"fmt"
	"strings"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/run/missingpaths"
	"github.com/hostler-project/hostler/text/visible"
)

// tellHidden prints the result: a document on standard output, or text on standard error beside the
// command's output.
func tellHidden(a *cli.App, view *missingpaths.Report) error {
	if a.JSON {
		return a.PrintJSON(view)
	}
	var b strings.Builder
	switch {
	case len(view.Paths) > 0:
		fmt.Fprintf(&b, "hidden paths that the command looked for: %d\n", len(view.Paths))
	case view.More > 0 || view.Unread > 0:
		b.WriteString("of what was seen, the command looked for nothing that the sandbox hides\n")
	default:
		b.WriteString("the command looked for nothing that the sandbox hides\n")
	}
	for _, h := range view.Paths {
		fmt.Fprintf(&b, "\n%s\n", term.Line(h.Path))
		if h.Place != "" {
			fmt.Fprintf(&b, "  leads to  %s\n", term.Line(h.Place))
		}
		for _, u := range h.Uses {
			fmt.Fprintf(&b, "  by        %s: %s (%d)\n", term.Line(u.Program), term.Line(u.Call), u.Times)
		}
		why := h.Why
		if h.At != "" {
			why = h.At + ": " + why
		}
		fmt.Fprintf(&b, "  hidden    %s\n", term.Line(why))
		if h.Line != "" {
			fmt.Fprintf(&b, "  to show   %s\n", h.Line)
		}
		fmt.Fprintf(&b, "  hint      %s\n", h.Hint)
	}
	if view.Line != "" {
		fmt.Fprintf(
			&b, "\nall that `show` can show, in the section [sandbox] of %s:\n    %s\n", sourceFile(a, view.Source),
			term.Line(view.Line),
		)
	}
	if view.More > 0 {
		fmt.Fprintf(&b, "\nmore than could be kept: %d further lookups\n", view.More)
	}
	if view.Unread > 0 {
		fmt.Fprintf(&b, "\nnot seen: %d lookups of processes of other users inside, or with a path that cannot be read\n", view.Unread)
	}
	return term.Printf(a.Err, "%s", visible.Block(b.String()))
}

// sourceFile names the file that describes a source, or will.
func sourceFile(a *cli.App, name string) string {
	if s, err := a.Configured(name); err == nil && s.File != "" {
		return s.File
	}
	return "a new ~/.config/hostler/sources/" + name + "/source.conf that begins with `type = sandbox`"
}
