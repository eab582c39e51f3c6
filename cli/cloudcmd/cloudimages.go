package cloudcmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
)

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

// cloudImages prints the images whose names begin with a prefix.
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
