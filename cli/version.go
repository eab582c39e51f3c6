package cli

import (
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/host/version"
)

// PrintVersion prints the version of this program.
func PrintVersion(a *App) error {
	if a.JSON {
		return a.PrintJSON(version.Read())
	}
	return term.Printf(a.Out, "%s\n", version.Line())
}
