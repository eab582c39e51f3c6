package nodecmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/slapos/node/format"
	"github.com/hostler-project/hostler/slapos/node/service"
)

// exitNotPosted is the exit status of a format that the master could not be told of.
const exitNotPosted = 2

// formattedView is `slapos node format --json`.
type formattedView struct {
	Computer   string   `json:"computer"`
	Partitions []string `json:"partitions"`
	Steps      []string `json:"steps"`
	Dry        bool     `json:"dry_run"`
	Posted     bool     `json:"posted"`
}

func newFormat(s *session.Session) *cobra.Command {
	o := service.FormatOptions{}
	console := false
	cmd := newNodeCommand(s, &cobra.Command{
		Use:   "format",
		Short: "Make this machine a computer: its partitions' users, directories and addresses",
		Long: `Make what slapos.cfg says in [slapformat] and [slapos]: partitions with a user, a directory, addresses and interfaces each, and tell the master. What is there is left as it is, and nothing is
ever taken away. A definition file may say what would else be chosen. It waits up to an hour before, unless --now. docs/slapos-format.md has the options of the file.

Exit status: 0 done, 1 failed, 2 done, and the master could not be told; 10 another does it already.`,
		Example: "  hostler slapos node format --now\n  hostler slapos node format --dry-run",
		Args:    cobra.NoArgs,
	}, service.NoPass, func(ctx context.Context, n *service.Node, _ []string) error { return runFormat(ctx, s, n, o, console) })
	f := cmd.Flags()
	formatFlags(f, &o)
	f.BoolVarP(&console, "console", "c", false, "print each step as it is done")
	for _, name := range []string{"computer-xml", "computer-json", "input-definition-file", "output-definition-file"} {
		_ = cmd.MarkFlagFilename(name)
	}
	for _, name := range []string{"alter-user", "alter-network"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions([]string{"True", "False"}, cobra.ShellCompDirectiveNoFileComp))
	}
	return cmd
}

// formatFlags declares the options about what is made of the machine.
func formatFlags(f *pflag.FlagSet, o *service.FormatOptions) {
	f.StringVarP(&o.State, "computer-xml", "x", "", "what was made is recorded in `FILE`")
	f.StringVar(&o.JSON, "computer-json", "", "and as JSON in `FILE`")
	f.StringVarP(&o.In, "input-definition-file", "i", "", "`FILE` says what would else be chosen")
	f.StringVarP(&o.Out, "output-definition-file", "o", "", "write such a one to `FILE`")
	f.StringVar(&o.Users, "alter-user", "", "make users: True or False (`BOOL`)")
	f.StringVar(&o.Network, "alter-network", "", "make interfaces, addresses and routes: True or False (`BOOL`)")
	f.BoolVar(&o.Now, "now", false, "do not wait before")
	f.BoolVarP(&o.Dry, "dry-run", "n", false, "print what would be done, and do, write and tell nothing")
}

// runFormat is `slapos node format`, with its exit statuses.
func runFormat(ctx context.Context, s *session.Session, n *service.Node, o service.FormatOptions, console bool) error {
	steps := []string{}
	o.Step = func(step string) {
		steps = append(steps, step)
		if (o.Dry || console) && !s.App.JSON {
			_ = term.Printf(s.App.Out, "%s\n", term.Line(step))
		} else {
			s.Log.Say("%s", step)
		}
	}
	c, err := n.Format(ctx, o)
	if err != nil && !errors.Is(err, format.ErrNotPosted) {
		if ctx.Err() != nil || errors.As(err, new(*service.BusyError)) {
			return err
		}
		s.Log.Fail(session.Hinted(err))
		return term.Exit(1)
	}
	if s.App.JSON {
		v := formattedView{
			Computer: c.Reference, Partitions: []string{}, Steps: steps, Dry: o.Dry, Posted: err == nil && !o.Dry,
		}
		for i := range c.Partitions {
			v.Partitions = append(v.Partitions, c.Partitions[i].Reference)
		}
		if err := s.App.PrintJSON(v); err != nil {
			return err
		}
	}
	if err != nil {
		s.Log.Fail(session.Hinted(err))
		return term.Exit(exitNotPosted)
	}
	return nil
}
