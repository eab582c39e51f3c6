package usercmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/slapos/proto/hypermedia"
)

// computerView is a computer in `slapos computer list --json`.
type computerView struct {
	Computer string `json:"computer"`
	Title    string `json:"title"`
}

func NewComputer(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "computer",
		Short:   "Look at the computers of a master, and have a token for a new one",
		Example: "  hostler slapos computer list\n  hostler slapos computer info COMP-1",
		Args:    cobra.ArbitraryArgs,
		RunE:    s.Group,
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "list",
		Short:   "List the computers: reference and title",
		Example: "  hostler slapos computer list",
		Args:    cobra.NoArgs,
		RunE:    s.RunE(func(ctx context.Context, _ []string) error { return computerList(ctx, s) }),
	}, &cobra.Command{
		Use:   "info REF",
		Short: "Show a computer, with its software and instances where the master tells",
		Long: `Show a computer by its reference, with the software and the instances that are wanted there, and what its node last said is wrong with them; of a node of ours, and from a master of ours, also the programs that run on it and what their promises came to.

Exit status: 2 where the master knows no such computer.`,
		Example:           "  hostler slapos computer info COMP-1",
		Args:              cobra.ExactArgs(1),
		RunE:              s.RunE(func(ctx context.Context, args []string) error { return computerInfo(ctx, s, args[0]) }),
		ValidArgsFunction: oneComputer(s),
	}, &cobra.Command{
		Use:   "token [REF]",
		Short: "Print a token with which one computer can be registered",
		Long: `Print a token with which one computer can be registered (hostler slapos node register): a new one, or the computer of that reference, which is yours
already and is to have another certificate; only masters of ours give those. It is a secret, good once and within a day.`,
		Example:           "  hostler slapos computer token\n  hostler slapos computer token COMP-1",
		Args:              cobra.MaximumNArgs(1),
		RunE:              s.RunE(func(ctx context.Context, args []string) error { return computerToken(ctx, s, args) }),
		ValidArgsFunction: oneComputer(s),
	})
	return cmd
}

// oneComputer completes a single reference.
func oneComputer(s *session.Session) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) (out cli.Candidates, _ cobra.ShellCompDirective) {
		if len(args) == 0 {
			out = s.Computers(cmd)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// computerList prints the computers that the master shows to this user.
func computerList(ctx context.Context, s *session.Session) error {
	master, err := s.Master()
	if err != nil {
		return err
	}
	all, err := master.Hypermedia().Search(ctx, hypermedia.Query{Kind: hypermedia.QueryComputers}, "title", "reference")
	if err != nil {
		return err
	}
	views := make([]computerView, len(all))
	for i, c := range all {
		views[i] = computerView{field(c, "reference"), field(c, "title")}
	}
	if s.App.JSON {
		return s.App.PrintJSON(views)
	}
	if err := term.Printf(s.App.Out, "List of Computers:\n"); err != nil {
		return err
	}
	for _, v := range views {
		if err := term.Printf(s.App.Out, "%s %s\n", term.Line(v.Computer), term.Line(v.Title)); err != nil {
			return err
		}
	}
	return nil
}
