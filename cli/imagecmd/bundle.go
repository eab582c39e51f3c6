package imagecmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
)

func NewBundle(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Put named sets of files, scripts and keys on instances",
		Long: `A bundle is a directory bundles/NAME in the configuration: bundle.conf, and files, scripts and pubkeys beside it. It makes a computer fit for a
purpose: by this command, or by each set-up of a source that lists it (bundles = NAME). docs/bundles.md says more.`,
		Example: "  hostler bundle list\n  hostler bundle apply web --on build-3 --dry-run --diff",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List the bundles that are configured", Example: "  hostler bundle list", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return bundleList(a) },
	}, &cobra.Command{
		Use: "show BUNDLE", Short: "Show what a bundle holds", Example: "  hostler bundle show web",
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.CompleteBundles,
		RunE: func(_ *cobra.Command, args []string) error { return bundleShow(a, args[0]) },
	}, newBundleRender(a), newBundleApply(a))
	return cmd
}
