package selfcmd

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/provenance"
	"github.com/hostler-project/hostler/host/version"
)

// NewVersion returns the command version. known is the go.sum that the program was built with.
func NewVersion(known string) func(*cli.App) *cobra.Command {
	return func(a *cli.App) *cobra.Command { return newVersion(a, known) }
}

func newVersion(a *cli.App, known string) *cobra.Command {
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
				return printMade(a, known, sums)
			case sums != "":
				return fault.Invalid("", "--sums is for --verify")
			}
			return cli.PrintVersion(a)
		},
	}
	cmd.Flags().BoolVar(&verify, "verify", false, "compare what it is made of with what it should be")
	cmd.Flags().StringVar(&sums, "sums", "", "the go.sum of the source in `FILE`, for --verify")
	_ = cmd.MarkFlagFilename("sums")
	return cmd
}

// printMade prints what this program is made of, and fails if a part differs. file replaces the
// go.sum of the build.
func printMade(a *cli.App, known, file string) error {
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return fault.Invalid("", "--sums: %w", err)
		}
		known = string(text)
	}
	made, err := provenance.Verify(known, host.Agents)
	if err != nil {
		return err
	}
	if a.JSON {
		err = a.PrintJSON(made)
	} else {
		err = showMade(a, made)
	}
	if n := made.Wrong(); n > 0 {
		err = errors.Join(err, fault.Conflict(
			"take one that was released, or made by make build", "not as it should be: %s of this program", term.Counted(n, "part"),
		))
	}
	return err
}

// showMade prints this for the user.
func showMade(a *cli.App, m *provenance.Made) error {
	if err := term.Printf(a.Out, "%s\nsha256 %s\n", version.Line(), m.SHA256); err != nil {
		return err
	}
	for _, s := range m.Settings {
		if err := term.Printf(a.Out, "%s=%s\n", s.Key, s.Value); err != nil {
			return err
		}
	}
	var rows [][]string
	for _, p := range m.Parts() {
		state := "ok"
		if p.Error != "" {
			state = p.Error
		}
		rows = append(rows, []string{p.Name, p.Version, p.Sum, state})
	}
	if err := term.Table(a.Out, []string{"part", "version", "sum", "state"}, rows); err != nil || !m.Verified {
		return err // the error that follows counts these
	}
	return term.Printf(
		a.Out, "verified: %s and %s are as they should be\n", term.Counted(len(m.Modules), "module"),
		term.Counted(len(m.Agents), "agent"),
	)
}
