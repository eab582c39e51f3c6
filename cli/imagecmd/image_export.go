package imagecmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/image/registry"
)

// exportedView is what `image export --json` prints.
type exportedView struct {
	Image    string `json:"image"`
	To       string `json:"to"`
	Manifest string `json:"manifest"`
}

func newImageExport(a *cli.App) *cobra.Command {
	opt, secrets := registry.ExportOptions{}, false
	cmd := &cobra.Command{
		Use:   "export IMAGE TO",
		Short: "Take an image to a registry or into a file",
		Long: `Take an image that is here, or a directory with a root file system, to where others find it. TO is one of

  NAME[:TAG]                     in a registry; credentials are those of docker login or podman login
  oci:DIR[:TAG]                  an OCI layout, made where it is missing; an image of that tag is replaced
  FILE.tar, oci-archive:FILE     a tar file with an OCI layout
  docker-archive:FILE[:NAME]     what docker load reads

Layers are packed anew, so the image is known there by another digest than the one that it came with; it is printed. A file appears whole or not at all.

An image that was built with bundles that have secrets may hold them, and is exported only with --with-secrets.`,
		Example:           "  hostler image export debian:12 debian.tar\n  hostler image export mine registry.example.com/team/mine:3\n  hostler image export /srv/root oci:./layout:root",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.CompleteImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			return imageExport(a, cmd.Context(), args[0], args[1], secrets, opt)
		},
	}
	cmd.Flags().BoolVarP(&opt.Replace, "force", "f", false, "write over a file that is there already")
	cmd.Flags().BoolVar(&secrets, "with-secrets", false, "also an image that may hold secrets")
	return cmd
}

// imageExport takes an image to a registry or into a file. One that may hold secrets needs
// permission.
func imageExport(a *cli.App, ctx context.Context, ref, to string, secrets bool, opt registry.ExportOptions) error {
	s, err := a.Host.Images()
	if err != nil {
		return err
	}
	if img, err := s.Find(ref); err == nil && !secrets && img.Config.Labels[host.LabelSecrets] != "" {
		return &compute.Error{
			ID: compute.ID(ref), Kind: compute.ErrDenied,
			Err:  errors.New("it was built with bundles that have secrets, and may hold them"),
			Hint: "--with-secrets, if whoever can read it there may know them",
		}
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	opt.Progress = &image.Progress{}
	quiet := sayProgress(a, ref, opt.Progress)
	digest, err := registry.Export(ctx, s, ref, to, opt)
	quiet()
	if err != nil {
		return a.Interrupted(
			err,
			"nothing is there that was not there before, but for layers in a registry or layout that no image names yet",
		)
	}
	if a.JSON {
		return a.PrintJSON(exportedView{ref, to, digest})
	}
	return term.Printf(a.Out, "%s %s\n", term.Line(to), shortDigest(digest))
}
