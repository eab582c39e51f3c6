package main

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/director/arsenal"
)

// importedView is an arsenal.conf as ours, in `director import --json`.
type importedView struct {
	Conf     string   `json:"conf"`
	Warnings []string `json:"warnings"`
}

func newDirectorImport(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Print an arsenal.conf as sections of a hostler.conf",
		Long: `Print what an arsenal.conf says as the sections [director.metal], [director.metal.strategy] and [director.metal.scout] of a hostler.conf. Every option of Arsenal's
is known, with what goes without saying. Passwords and tokens are not printed: they are in clouds.yaml or OS_ variables from now on. What has no effect is told
on standard error, and stands in the output as a comment.`,
		Example: "  hostler director import /etc/arsenal/arsenal.conf >> ~/.config/hostler/hostler.conf",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := arsenal.Read(args[0])
			if err != nil {
				return err
			}
			if a.flags.json {
				return a.printJSON(importedView{c.Hostler(), append([]string{}, c.Warnings...)})
			}
			for _, w := range c.Warnings {
				_ = fprintf(a.errs, "%s: warning: %s: %s\n", a.program, printable(args[0]), printable(w))
			}
			return fprintf(a.out, "%s", c.Hostler())
		},
	}
}
