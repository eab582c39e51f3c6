package sourcecmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/runcmd"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host/doctor"
)

func NewDoctor(a *cli.App) *cobra.Command {
	watch := false
	cmd := &cobra.Command{
		Use:   "doctor [INSTANCE | LEASE] | doctor --sandbox [-s SOURCE] -- COMMAND [ARG...]",
		Short: "Say what works on this machine, what does not and why, and how to mend it",
		Long: `Look at this machine, the configuration, the state and each source, and change nothing. A source's provider is opened, what it
needs (image, mounts) is looked for, and its machines are listed where it has any; none is made. Exit status 1 when something fails that is configured here or that everything needs.

With the name of an instance that you have, or with -s of a source whose machines stand there anyway, look at those instead: whether they are reached and how fast, their
system, clock and disk, what the start-up files of a log-in cost, and how run --sync would take a tree there. On a machine behind ssh that puts hostler's agent
into the cache of the user, as --sync does.

With --sandbox, run COMMAND in a sandbox as hostler run does, and tell which files and directories of this machine it looked for that the sandbox hides: which program looked and how, why
it is hidden, and which line of the source shows it. That stands on standard error; with --json it is a document on standard output, and all that the command writes
goes to standard error. The exit status is the command's, and otherwise as that of hostler run.`,
		Example: "  hostler doctor\n  hostler doctor -s web\n  hostler doctor web-3\n  hostler doctor --sandbox -- make test",
		Args: func(cmd *cobra.Command, args []string) error {
			if watch {
				return nil
			}
			return cobra.MaximumNArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			switch {
			case watch:
				return runcmd.DoctorSandbox(a, cmd, args)
			case len(args) > 0 && a.Flags.Source != "":
				return fault.Invalid("", "doctor looks at an instance or at a source, not at both")
			case len(args) > 0:
				checks, err := doctorInstance(a, ctx, args[0])
				if err != nil {
					return err
				}
				return toldChecks(a, checks)
			case a.Flags.Source != "":
				if _, err := a.Configured(a.Flags.Source); err != nil {
					return err
				}
				return toldChecks(a, doctor.Source(ctx, a.Host, a.Flags.Source, a.Configured))
			}
			return doctorAll(a, ctx)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) (cli.Candidates, cobra.ShellCompDirective) {
			if watch {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return a.CompleteLeased(cmd, args, word)
		},
	}
	a.WithSource(cmd)
	cmd.Flags().BoolVar(&watch, "sandbox", false, "run COMMAND in a sandbox, and tell which hidden paths it looks for")
	return cmd
}

// doctorAll checks the machine, what serves it, and every source.
func doctorAll(a *cli.App, ctx context.Context) error {
	h := a.Host
	found := append(doctor.Program(h.Kinds), doctor.Configuration(h)...)
	found = append(found, checkController(a, ctx), checkKeeper(a, ctx), doctor.SSH(), doctor.Git(ctx))
	found = append(found, doctor.Engines(ctx, h.Kinds)...)
	if h.Config() != nil {
		state := doctor.State(ctx, h)
		found = append(found, state...)
		if state[0].Result == "ok" {
			found = append(found, doctor.Sources(ctx, h)...)
		}
	}
	return toldChecks(a, found)
}
