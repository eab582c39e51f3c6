package imagecmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
)

// NewImage returns the command image, which lists the local images, with those that change them
// below it.
func NewImage(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Bring images here, look at them, remove them",
		Long: `Images are root file systems for computers made on this machine. They come from a registry, an OCI layout, an archive, the local docker daemon or a
directory; each layer is unpacked once, for all that use it. What a source names as its image is brought here when it is first needed; pull does so
ahead. docs/images.md says more.`,
		Example: "  hostler image pull debian:12\n  hostler image list",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List the images that are here", Example: "  hostler image list", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return imageList(a, cmd.Context()) },
	}, newImageBuild(a), newImagePromote(a), newImagePull(a), newImageImport(a), newImageExport(a), newImageRemove(a), newImageGC(a),
		&cobra.Command{
			Use: "inspect IMAGE", Short: "Show what an image is made of, and what it says of itself",
			Args: cobra.ExactArgs(1), ValidArgsFunction: a.CompleteImages,
			Example: "  hostler image inspect debian:12\n  hostler image inspect --json debian:12",
			RunE:    func(_ *cobra.Command, args []string) error { return imageInspect(a, args[0]) },
		})
	return cmd
}

// imageList prints the local images, and which source each is kept for.
func imageList(a *cli.App, ctx context.Context) error {
	s, err := a.Host.Images()
	if err != nil {
		return err
	}
	kept, err := keptImages(a, ctx, s)
	if err != nil {
		a.Log.Warn("which images are promoted is not known", "err", err)
	}
	all, err := s.List()
	if err != nil {
		return err
	}
	views, rows := []imageView{}, [][]string{}
	for _, img := range all {
		users, err := s.Users(img.Digest)
		if err != nil {
			return err
		}
		v := viewImage(img, users)
		v.KeptFor = kept[img.Digest]
		views = append(views, v)
		rows = append(
			rows,
			[]string{
				term.Line(term.OrDash(img.Name)), shortDigest(img.Digest), term.OrDash(img.Platform.String()),
				fmt.Sprint(len(img.Layers)), term.ShortSize(img.Size), fmt.Sprint(len(users)), term.Ago(img.Used),
				term.Line(term.OrDash(v.KeptFor)),
			},
		)
	}
	if a.JSON {
		return a.PrintJSON(views)
	}
	return a.Table([]string{"image", "digest", "platform", "layers", "size", "in-use", "used", "kept-for"}, rows)
}
