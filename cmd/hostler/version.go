package main

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host/version"
)

func newVersion(a *cli.App) *cobra.Command {
	verify, sums := false, ""
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what the program is made of",
		Long: `Print the version. --verify lists what this program is made of, as the Go compiler recorded it: the settings of the build, each module with its version and the
sum of its content, the agents that it carries along. Modules are compared with the go.sum that it was built with, or with the one of --sums, agents with the digests
that they were packed with and with the program's own modules. The exit status is 0 where all is as it should be, and 6 where something is not.`,
		Example: "  hostler version --json\n  hostler version --verify --sums go.sum",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch {
			case verify:
				return verifyVersion(a, sums)
			case sums != "":
				return fault.Invalid("", "--sums is for --verify")
			}
			return printVersion(a)
		},
	}
	cmd.Flags().BoolVar(&verify, "verify", false, "compare what it is made of with what it should be")
	cmd.Flags().StringVar(&sums, "sums", "", "the go.sum of the source in `FILE`, for --verify")
	_ = cmd.MarkFlagFilename("sums")
	return cmd
}

func printVersion(a *cli.App) error {
	if a.JSON {
		return a.PrintJSON(version.Read())
	}
	return term.Printf(a.Out, "%s\n", version.Line())
}
