package imagecmd

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/image"
)

func newImageRemove(a *cli.App) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "remove IMAGE...", Aliases: []string{"delete"},
		Short: "Take names of images away, and with the last one the image", Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: a.CompleteImages,
		Long: `Take names of images away. An image that has no name left goes, and of its layers those that no other image needs. One that an instance uses stays: that
is an error. One that was built here and that a source's configuration names stays too, unless --force says otherwise: a registry would be asked for it instead.
IMAGE may be sha256: and the first digits of a digest: then it goes with all its names.`,
		Example: "  hostler image remove debian:12",
		RunE:    func(cmd *cobra.Command, args []string) error { return imageRemove(a, cmd.Context(), args, force) },
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "also what was built here and a source's configuration names")
	return cmd
}

// imageRemove removes images, unless a source may go back to one or has its name.
func imageRemove(a *cli.App, ctx context.Context, refs []string, force bool) error {
	s, err := a.Host.Images()
	if err != nil {
		return err
	}
	kept, err := keptImages(a, ctx, s)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if img, err := s.Find(ref); err == nil {
			if kept[img.Digest] != "" {
				return &compute.Error{ID: compute.ID(ref), Kind: compute.ErrConflict,
					Err:  fmt.Errorf("instances of %s come from it, or it is what they would go back to", kept[img.Digest]),
					Hint: "promote another for " + kept[img.Digest]}
			}
			if src := namedBy(a, s, img); src != nil && !force {
				return &compute.Error{ID: compute.ID(ref), Kind: compute.ErrConflict,
					Err: fmt.Errorf(
						"source %s has its name, and it was built here: without it a registry would be asked for one of that name",
						src.Name,
					),
					Hint: "give " + cmp.Or(src.File, src.Name) + " another image first, or use --force"}
			}
		}
		if err := s.Remove(ctx, ref); err != nil {
			return err
		}
	}
	return nil
}

// namedBy returns a source that names a locally built image; nil if there is none, or the image can
// be fetched again.
func namedBy(a *cli.App, s *image.Store, img image.Image) *config.Source {
	if img.Config.Labels[host.LabelSource] == "" {
		return nil
	}
	for _, src := range a.Host.Config().Sources {
		if name := cmp.Or(src.Image, src.Settings["image"]); name != "" {
			if of, err := s.Find(name); err == nil && of.Digest == img.Digest {
				return src
			}
		}
	}
	return nil
}
