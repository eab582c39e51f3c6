package sourcecmd

import (
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
)

func NewTrust(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Say what a tree's configuration may do on this machine",
		Long: `A directory .hostler or .crcache may come with a tree of somebody else's. Sandboxes with limits work from there unasked. All else waits until you have
approved it: what runs commands on this machine or reads your files, spends your credentials, sends something to another host, or takes a name that
this machine has already. docs/trust.md has the table.

Without a subcommand: show what waits, as a difference to what this machine has without the tree, and to what you approved before. The approval holds
for the content as it is: of what changes you are asked again.`,
		Example: "  hostler trust\n  hostler trust approve\n  hostler trust revoke .hostler",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.Host.Configuration()
			if err != nil {
				return err
			}
			return errors.Join(trustShow(a, cfg.NeedsTrust(), ""), sayUnjudged(a, cfg, ""))
		},
	}
	sub := func(use, short, example string, run func(dangers []config.Danger, root string) error) *cobra.Command {
		c := &cobra.Command{
			Use: use, Short: short, Example: example, Args: cobra.MaximumNArgs(1),
			RunE: func(_ *cobra.Command, args []string) error {
				cfg, err := a.Host.Configuration()
				if err != nil {
					return err
				}
				root := cli.First(args)
				if root != "" {
					if root, err = filepath.Abs(root); err != nil {
						return err
					}
				}
				return errors.Join(run(cfg.NeedsTrust(), root), sayUnjudged(a, cfg, root))
			},
		}
		cmd.AddCommand(c)
		return c
	}
	var yes bool
	sub("show [ROOT]", "Show what needs approval, and why", "  hostler trust show", func(dangers []config.Danger,
		root string) error {
		return trustShow(a, dangers, root)
	})
	approve := sub("approve [ROOT]", "Approve a root as its content is now",
		"  hostler trust approve .hostler\n  hostler trust approve --yes",
		func(dangers []config.Danger, root string) error { return trustApprove(a, dangers, root, yes) })
	approve.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask: for where nobody sits at a terminal")
	sub("revoke [ROOT]", "Take an approval back", "  hostler trust revoke .hostler", func(dangers []config.Danger,
		root string) error {
		return trustRevoke(a, dangers, root)
	})
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List what you have approved", Example: "  hostler trust list", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return trustList(a) },
	})
	return cmd
}

func trustStore() (config.TrustStore, error) {
	dir, err := host.StateDir()
	return config.TrustStore{Dir: filepath.Join(dir, "trust")}, err
}

// trustRevoke takes back the approval of a root of a tree.
func trustRevoke(a *cli.App, dangers []config.Danger, root string) error {
	store, err := trustStore()
	if err != nil {
		return err
	}
	if root == "" {
		d, err := danger(dangers, "")
		if err != nil {
			return err
		}
		root = d.Root
	}
	all, _ := store.List() // an unreadable store has no approvals
	if err := store.Revoke(root); err != nil || a.Quiet {
		return host.ConfigError(err)
	}
	for _, was := range all {
		if was.Root == filepath.Clean(root) {
			return term.Printf(a.Out, "%s: approved no more\n", term.Line(root))
		}
	}
	return term.Printf(a.Out, "%s: was not approved, and is not\n", term.Line(root))
}
