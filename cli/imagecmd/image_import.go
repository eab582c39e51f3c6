package imagecmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/image"
)

func newImageImport(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "import FROM NAME",
		Short: "Bring an image here under a name of your own",
		Long: `Bring an image here, as pull does, and give it a name of your own, as sources may have it in their image key. FROM is any name that pull takes, and
also that of an image that is here already. The name is taken from the image that had it; that one stays, until gc, if no instance uses it.`,
		Example: "  hostler image import ./root.tar.gz mine\n  hostler image import debian:12 base:stable",
		Args:    cobra.ExactArgs(2),
		ValidArgsFunction: func(*cobra.Command, []string, string) (cli.Candidates, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error { return imageImport(a, cmd.Context(), args[0], args[1]) },
	}
}

// imageImport brings an image here under a name.
func imageImport(a *cli.App, ctx context.Context, from, as string) error {
	s, err := a.Host.Images()
	if err != nil {
		return err
	}
	if err := image.CheckTag(a.Host.Registry, as); err != nil { // before anything is fetched
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	p := &image.Progress{}
	quiet := sayProgress(a, from, p)
	img, err := s.Pull(ctx, from, image.PullOptions{Progress: p})
	quiet()
	if err != nil {
		return a.Interrupted(err, "layers that were whole stay, and the next import goes on with them")
	}
	if img.Digest != "" {
		from = img.Digest
	}
	if img, err = s.Tag(ctx, from, as); err != nil {
		return err
	}
	users, err := s.Users(img.Digest)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.PrintJSON(viewImage(img, users))
	}
	return term.Printf(a.Out, "%s %s\n", term.Line(img.Name), shortDigest(img.Digest))
}
