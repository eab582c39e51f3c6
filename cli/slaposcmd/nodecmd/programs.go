package nodecmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/slapos/node/service"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

const programNames = "\n\nA program is named GROUP:NAME, as slappart0:server-on-watch; GROUP:* and GROUP are all of a group, all is all there are. The supervisor is started where it does not run."

// programCommand makes a command that does something with programs by their names.
func programCommand(
	s *session.Session, verb, short, done string, f func(*supervise.Client, context.Context, ...string) error,
) *cobra.Command {
	cmd := newNodeCommand(s, &cobra.Command{
		Use: verb + " NAME...", Short: short, Long: short + "." + programNames,
		Example: "  hostler slapos node " + verb + " slappart0:*", Args: cobra.MinimumNArgs(1),
	}, service.NoPass, func(ctx context.Context, n *service.Node, args []string) error {
		c, err := n.Supervisor(ctx)
		if err != nil {
			return err
		}
		if err := f(c, ctx, args...); err != nil {
			return err
		}
		programs, err := c.Status(ctx, args...)
		if err != nil {
			return err
		}
		if s.App.JSON {
			return s.App.PrintJSON(programViews(programs))
		}
		for _, p := range programs {
			what := done
			if p.Error != "" && done == "started" {
				what = "ERROR (" + p.Error + ")"
			}
			if err := term.Printf(s.App.Out, "%s: %s\n", term.Line(p.FullName()), term.Line(what)); err != nil {
				return err
			}
		}
		return nil
	})
	cmd.ValidArgsFunction = completePrograms(s)
	return cmd
}

// completePrograms are the names of the node's programs, for the shell.
func completePrograms(s *session.Session) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) (cli.Candidates, cobra.ShellCompDirective) {
		if s.App.Begin(cmd) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		f, err := s.NodeFile("")
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		set, err := f.Node()
		if err != nil || set.InstanceRoot == "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), session.Patience)
		defer cancel()
		c := supervise.NewClient(set.InstanceRoot + "/sv.sock")
		defer c.Close()
		programs, _ := c.Status(ctx)
		var out cli.Candidates
		for _, p := range programs {
			out = append(out, cobra.CompletionWithDesc(p.FullName(), string(p.State)))
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}
