package sourcecmd

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/text/visible"
)

// toldChecks prints the checks. The exit status is 1 if one fails.
func toldChecks(a *cli.App, checks []compute.Finding) error {
	bad := false
	for _, c := range checks {
		bad = bad || c.Result == "fail"
	}
	var err error
	if a.JSON {
		err = a.PrintJSON(checks)
	} else {
		err = term.Printf(a.Out, "%s", visible.Block(checkLines(checks)))
	}
	if err == nil && bad {
		return term.Exit(1)
	}
	return err
}

// checkLines formats the checks for the user: a line for each, and a line below it with what to do.
// A table column for that would be too wide.
func checkLines(checks []compute.Finding) string {
	width := 0
	for _, c := range checks {
		width = max(width, utf8.RuneCountInString(c.What))
	}
	var b strings.Builder
	for _, c := range checks {
		fmt.Fprintf(&b, "%-4s  %-*s  %s\n", c.Result, width, c.What, term.Line(c.Detail))
		if c.Hint != "" {
			fmt.Fprintf(&b, "%*s  hint: %s\n", width+6, "", term.Line(c.Hint))
		}
	}
	return b.String()
}
