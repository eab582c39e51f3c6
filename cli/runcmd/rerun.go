package runcmd

import (
	"context"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute/fault"
)

func NewRerun(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rerun RUN",
		Short: "Run the same again: the same command and options, in the same directory",
		Long: `Run the command of an earlier run again, with its options, from the directory that it was given in (-C names another). Values of variables are not recorded:
those of -e NAME=VALUE are taken from the environment here, or given once more with -e; secrets are asked for anew by their references.`,
		Example: "  hostler rerun last\n  hostler rerun last -e TOKEN=x",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return rerun(a, cmd.Context(), cmd, args[0])
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, p2 string) (cli.Candidates, cobra.ShellCompDirective) {
			return completeRuns(a, cmd, args, p2)
		},
	}
	cmd.Flags().String("on", "", "run it on the `NAME` of an instance or lease that is yours, in place of where it ran")
	_ = cmd.RegisterFlagCompletionFunc("on", a.CompleteLeased)
	cmd.Flags().StringArrayP("env", "e", nil, "set `NAME=VALUE` there, in place of what was set before; may be repeated")
	return cmd
}

// rerun runs a recorded command again, by the options that it had.
func rerun(a *cli.App, ctx context.Context, cmd *cobra.Command, name string) error {
	rec, err := findRun(name)
	if err != nil {
		return err
	}
	env, err := cmd.Flags().GetStringArray("env")
	if err != nil {
		return err
	}
	on, err := cmd.Flags().GetString("on")
	if err != nil {
		return err
	}
	words, err := againWords(rec, env, on)
	if err != nil {
		return err
	}
	if a.Flags.Dir == "" && rec.Directory != "" {
		if err := os.Chdir(rec.Directory); err != nil {
			return fault.Invalid("-C DIR runs it from another directory", "rerun %s: the directory in which it ran: %w", rec.ID, err)
		}
		_ = os.Unsetenv("PWD")
	}
	var own []string // hostler's options that were given now
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed && f.Name != "env" && f.Name != "on" && f.Name != "directory" {
			own = append(own, "--"+f.Name+"="+f.Value.String())
		}
	})
	root := a.Commands(a)
	root.SetArgs(slices.Concat(own, words))
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	return root.ExecuteContext(ctx)
}
