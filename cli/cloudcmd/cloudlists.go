package cloudcmd

import (
	"context"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/flavor"
)

func newCloudFlavors(a *cli.App) *cobra.Command {
	var o cloudOptions
	var cores int
	var memory term.SizeFlag
	var regex string
	cmd := &cobra.Command{
		Use:   "flavors",
		Short: "List the flavors of a cloud, the cheapest first",
		Long: `List the flavors that the project can have, the cheapest first: by cores, then memory, then disk. With --cores, --memory or --flavor only those that are large enough and whose
names match: the first of them is what a source that asks for that gets. What an hour costs comes from [cloud.prices] in hostler.conf.`,
		Example: "  hostler cloud flavors --cloud lab\n  hostler cloud flavors --cores 4 --memory 16G --flavor '^m[23]'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cores < 0 {
				return fault.Invalid("--cores 4", "--cores %d: a number of cores is 0 or more", cores)
			}
			return cloudFlavors(a, cmd.Context(), &o, flavor.Need{Cores: cores, RAM: int((memory.Bytes + 1<<20 - 1) >> 20), Regex: regex})
		},
	}
	o.flags(a, cmd, false)
	cmd.Flags().IntVar(&cores, "cores", 0, "with `N` cores at least")
	cmd.Flags().Var(&memory, "memory", "with so much memory at least")
	cmd.Flags().StringVarP(&regex, "flavor", "f", "", "whose names match `REGEX`")
	return cmd
}

func cloudFlavors(a *cli.App, ctx context.Context, o *cloudOptions, need flavor.Need) error {
	costs, err := cloudPrices(a)
	if err != nil {
		return err
	}
	lists, err := o.lists(a)
	if err != nil {
		return err
	}
	table, err := lists.Flavors(ctx, false)
	if err != nil {
		return err
	}
	views, rows := []cloudFlavorView{}, [][]string{}
	fits, err := largeEnough(table, need)
	if err != nil {
		return err
	}
	for _, f := range fits {
		price := costs.of(f.Name)
		v := cloudFlavorView{f.ID, f.Name, f.Cores, int64(f.RAM) << 20, int64(f.Disk) << 30, f.GPUs, price}
		views = append(views, v)
		rows = append(
			rows,
			[]string{f.Name, f.ID, strconv.Itoa(f.Cores), term.ShortSize(v.Memory), term.ShortSize(v.Disk), strconv.Itoa(f.GPUs),
				costs.shown(price)},
		)
	}
	if a.JSON {
		return a.PrintJSON(views)
	}
	return a.Table([]string{"flavor", "id", "cores", "memory", "disk", "gpus", "hourly"}, rows)
}

// largeEnough returns the flavors that meet a need, cheapest first.
func largeEnough(table *flavor.Table, need flavor.Need) (out []flavor.Flavor, err error) {
	if need == (flavor.Need{}) {
		out = table.All()
	} else {
		if _, err := table.Cheapest(need); err != nil { // none, or no regular expression
			return nil, err
		}
		for _, f := range table.All() {
			only := flavor.New([]flavor.Flavor{f})
			if _, err := only.Cheapest(need); err == nil {
				out = append(out, f)
			}
		}
	}
	slices.SortFunc(out, flavor.Compare)
	return out, nil
}

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

func newCloudImages(a *cli.App) *cobra.Command {
	var o cloudOptions
	cmd := &cobra.Command{
		Use:   "images [PREFIX]",
		Short: "List the images of a cloud, the newest first",
		Long: `List the images that a server can be made of, the newest first; with PREFIX those whose name or id begins so: the first of them is what a source with that
image gets.`,
		Example: "  hostler cloud images --cloud lab\n  hostler cloud images debian-",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cloudImages(a, cmd.Context(), &o, cli.First(args))
		},
	}
	o.flags(a, cmd, false)
	return cmd
}

func cloudImages(a *cli.App, ctx context.Context, o *cloudOptions, prefix string) error {
	lists, err := o.lists(a)
	if err != nil {
		return err
	}
	images, err := lists.Images(ctx, prefix)
	if err != nil {
		return err
	}
	views, rows := []cloudImageView{}, [][]string{}
	for _, v := range images {
		views = append(views, cloudImageView(v))
		rows = append(
			rows,
			[]string{
				v.Name, v.ID, v.Visibility, term.ShortSize(v.Size), term.ShortSize(v.MinDisk), term.ShortSize(v.MinMemory),
				v.Created.Format("2006-01-02"),
			},
		)
	}
	if a.JSON {
		return a.PrintJSON(views)
	}
	return a.Table([]string{"image", "id", "visibility", "size", "min-disk", "min-memory", "created"}, rows)
}
