package usercmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/slapos/proto"
)

// SupplyView is what `slapos supply` and `slapos remove` print with --json.
type SupplyView struct {
	Release  string `json:"release"`
	Computer string `json:"computer"`
	State    string `json:"state"`
}

func NewSupply(s *session.Session) *cobra.Command {
	return supplying(s, "supply URL NODE", "Have a software release installed on a computer", `Ask the master to have a software release on a computer. The computer's node builds it at its next pass.

URL is that of the release, an alias of [slapconsole], or product.NAME for the best release of a product.`,
		"  hostler slapos supply https://software.example/demo/software.cfg COMP-1\n  hostler slapos supply product.demo COMP-1",
		proto.Available, "Requesting software installation of %s...")
}

func NewRemove(s *session.Session) *cobra.Command {
	return supplying(s, "remove URL NODE", "Have a software release removed from a computer",
		`Ask the master to have a software release no more on a computer. The computer's node removes it once no instance there uses it.`,
		"  hostler slapos remove https://software.example/demo/software.cfg COMP-1", proto.Destroyed,
		"Requesting deletion of %s Software Release...")
}

// supplying returns a command that asks for a state of a release on a computer.
func supplying(s *session.Session, use, short, long, example, state, words string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Example: example,
		Args: cobra.ExactArgs(2),
		RunE: s.RunE(func(ctx context.Context, args []string) error {
			master, err := s.Master()
			if err != nil {
				return err
			}
			release, err := s.Release(ctx, args[0])
			if err != nil {
				return err
			}
			s.Log.Say(words, release)
			if err := master.Supply(ctx, release, args[1], state); err != nil {
				return err
			}
			s.Log.Say("Done.")
			if s.App.JSON {
				return s.App.PrintJSON(SupplyView{release, args[1], state})
			}
			return nil
		}),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (cli.Candidates, cobra.ShellCompDirective) {
			switch len(args) {
			case 0:
				return s.Releases(cmd, ""), cobra.ShellCompDirectiveDefault
			case 1:
				return s.Computers(cmd), cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}
}
