package servercmd

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
)

func NewReload(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Have the controller read its configuration anew",
		Long: `Have the controller read its configuration anew. What is wrong with hostler.conf or a project changes nothing. A source that is broken is told with file and line,
and goes on as it was before, if it was read well then; all else is taken. In both cases the exit status is not 0. Of several controllers on one database only
the one that is asked reads its own files.`,
		Example: "  hostler reload",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := a.Controller(cmd.Context())
			if c == nil && err == nil {
				err = fault.Invalid("hostler serve starts one; without one each command reads it anew", "no controller runs here")
			}
			if c != nil {
				defer c.Close()
			}
			if err != nil {
				return err
			}
			out, err := c.Reload(cmd.Context())
			if err != nil {
				return err
			}
			for _, w := range out.Warnings {
				_ = term.Printf(a.Err, "%s: warning: %s\n", a.Program, term.Line(w))
			}
			if out.Several {
				_ = term.Printf(
					a.Err,
					"%s: only the controller that was asked has read its configuration; others on this database read theirs when they are asked\n",
					a.Program,
				)
			}
			var broken []error
			for _, p := range out.Broken {
				broken = append(broken, p.Err())
			}
			return errors.Join(broken...)
		},
	}
}
