package imagecmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/image"
)

func newImagePull(a *cli.App) *cobra.Command {
	var platform string
	cmd := &cobra.Command{
		Use:   "pull IMAGE...",
		Short: "Bring images here, or bring them up to date",
		Long: `Bring images here. Layers that are here already are not fetched; after an interruption the next pull goes on. IMAGE is one of

  NAME[:TAG|@DIGEST]             in a registry, docker.io if none is named; credentials are those of docker login or podman login
  oci:DIR[:TAG]                  in an OCI layout;  oci-archive:FILE[:TAG]: in a tar file of one
  docker-archive:FILE[:NAME]     in what docker save wrote
  docker-daemon:NAME             in the local docker daemon
  FILE.tar, .tar.gz, .tar.zst    a file with an image or a root file system in it

~/ before FILE or DIR is your home.`,
		Example: "  hostler image pull debian:12\n  hostler image pull --platform linux/arm64 registry.example.com/team/tool@sha256:...\n  hostler image pull ./root.tar.gz",
		Args:    cobra.MinimumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) (cli.Candidates, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			opt := image.PullOptions{}
			if platform != "" {
				p, ok := image.ParsePlatform(platform)
				if !ok {
					return fault.Invalid("--platform linux/arm64", "--platform: %s is not OS/ARCH", platform)
				}
				opt.Platform = p
			}
			return imagePull(a, cmd.Context(), args, opt)
		},
	}
	cmd.Flags().StringVar(&platform, "platform", "", "for `OS/ARCH[/VARIANT]` and not for this machine")
	return cmd
}

// imagePull fetches images, one after the other.
func imagePull(a *cli.App, ctx context.Context, refs []string, opt image.PullOptions) error {
	s, err := a.Host.Images()
	if err != nil {
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	views := []imageView{}
	for _, ref := range refs {
		opt.Progress = &image.Progress{}
		quiet := sayProgress(a, ref, opt.Progress)
		img, err := s.Pull(ctx, ref, opt)
		quiet()
		if err != nil {
			return a.Interrupted(err, "layers that were whole stay, and the next pull goes on with them")
		}
		users, err := s.Users(img.Digest)
		if err != nil {
			return err
		}
		views = append(views, viewImage(img, users))
		if !a.JSON {
			if err := term.Printf(a.Out, "%s %s\n", term.Line(img.Name), shortDigest(img.Digest)); err != nil {
				return err
			}
		}
	}
	if a.JSON {
		return a.PrintJSON(views)
	}
	return nil
}

// sayProgress shows the progress of a pull on a terminal, until stop is called.
func sayProgress(a *cli.App, ref string, p *image.Progress) (stop func()) {
	if a.Quiet || !term.IsTerminal(a.Err) {
		return func() {}
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for said := false; ; said = true {
			select {
			case <-end:
				if said {
					_ = term.Printf(a.Err, "\r\x1b[K")
				}
				return
			case <-tick.C:
				_ = term.Printf(a.Err, "\r\x1b[K%s: %s", term.Line(ref), progressLine(p))
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

func progressLine(p *image.Progress) string {
	text := fmt.Sprintf("%d of %d layers, %s", p.Ready.Load(), p.Layers.Load(), term.ShortSize(p.Done.Load()))
	if size := p.Size.Load(); size > 0 {
		text += " of " + term.ShortSize(size)
	}
	return text
}
