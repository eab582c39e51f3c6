package cloudcmd

import (
	"context"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
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

// cloudFlavors prints the flavors that are large enough, with their prices.
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
