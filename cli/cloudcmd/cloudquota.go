package cloudcmd

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/host/clouds"
)

func newCloudQuota(a *cli.App) *cobra.Command {
	var o cloudOptions
	cmd := &cobra.Command{
		Use:   "quota",
		Short: "Show what the project may have, and has",
		Long: `Show what the project may have of each kind, and how much of it there is, whoever made it. A - is no limit, or a number that the cloud
does not tell.`,
		Example: "  hostler cloud quota --cloud lab",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cloudQuota(a, cmd.Context(), &o) },
	}
	o.flags(a, cmd, false)
	return cmd
}

// cloudQuota prints the limits of a project, and how much of each is left.
func cloudQuota(a *cli.App, ctx context.Context, o *cloudOptions) error {
	lists, err := o.lists(a)
	if err != nil {
		return err
	}
	quotas, untold, err := lists.Quota(ctx, true)
	if err != nil {
		return err
	}
	if untold != "" && !a.Quiet {
		if err := term.Printf(a.Err, "%s: %s\n", a.Program, untold); err != nil {
			return err
		}
	}
	views, rows := []cloudQuotaView{}, [][]string{}
	for _, v := range quotas {
		views = append(views, cloudQuotaView(v))
		number := func(n *int64) string {
			switch {
			case n == nil:
				return "-"
			case v.Name == clouds.QuotaMemory || v.Name == clouds.QuotaVolumeBytes:
				return term.ShortSize(*n)
			}
			return strconv.FormatInt(*n, 10)
		}
		rows = append(rows, []string{v.Name, number(v.Max), number(v.Used), number(v.Free)})
	}
	if a.JSON {
		return a.PrintJSON(views)
	}
	return a.Table([]string{"quota", "max", "used", "free"}, rows)
}
