package imagecmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/image"
)

func newImageGC(a *cli.App) *cobra.Command {
	var older term.DurationFlag
	var dry bool
	cmd := &cobra.Command{
		Use: "gc", Aliases: []string{"prune"},
		Short: "Remove images that lost their name, layers that no image needs, and what was interrupted",
		Long: `Remove images that lost their name to a newer one, layers that no image needs any more, and what an interrupted pull left. With --older-than also
images that nothing was made from for so long, built ones too. What an instance uses stays, what is promoted for a source and what that was built on.`,
		Example: "  hostler image gc --older-than 30d --dry-run",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return imageGC(a, cmd.Context(), image.GCOptions{OlderThan: older.Value, Unused: older.Given && older.Value == 0, DryRun: dry})
		},
	}
	cmd.Flags().Var(&older, "older-than", "also images not used for `D`; 0: all that are not in use")
	cmd.Flags().BoolVarP(&dry, "dry-run", "n", false, "only say what would go")
	return cmd
}

// imageGC removes images that lost their name, except those that a source may go back to, and
// layers that no image needs.
func imageGC(a *cli.App, ctx context.Context, opt image.GCOptions) error {
	s, err := a.Host.Images()
	if err != nil {
		return err
	}
	kept, err := keptImages(a, ctx, s)
	if err != nil {
		return err
	}
	opt.Keep = func(img image.Image) bool { return kept[img.Digest] != "" }
	got, err := s.GC(ctx, opt)
	if err != nil {
		return err
	}
	v := collectedView{Images: []string{}, Layers: got.Layers, Size: got.Size, DryRun: opt.DryRun}
	for _, img := range got.Images {
		name := img.Name
		if name == "" {
			name = img.Digest
		}
		v.Images = append(v.Images, name)
	}
	if a.JSON {
		return a.PrintJSON(v)
	}
	verb := "removed"
	if opt.DryRun {
		verb = "would remove"
	}
	for _, name := range v.Images {
		if err := term.Printf(a.Out, "%s %s\n", verb, term.Line(name)); err != nil {
			return err
		}
	}
	if a.Quiet {
		return nil
	}
	size := term.ShortSize(v.Size)
	if v.Size < 1024 {
		size = term.Counted(int(v.Size), "byte")
	}
	return term.Printf(a.Out, "%s %s, %s: %s of disk\n", verb, term.Counted(len(v.Images), "image"), term.Counted(v.Layers, "layer"), size)
}
