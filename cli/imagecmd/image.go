package imagecmd

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/image"
)

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

func imageInspect(a *cli.App, ref string) error {
	s, err := a.Host.Images()
	if err != nil {
		return err
	}
	img, err := s.Find(ref)
	if err != nil {
		return err
	}
	users, err := s.Users(img.Digest)
	if err != nil {
		return err
	}
	v := viewImage(img, users)
	if a.JSON {
		return a.PrintJSON(v)
	}
	lines := [][2]string{
		{"image", v.Name}, {"digest", v.Digest}, {"manifest", v.Manifest}, {"platform", v.Platform},
		{"size", term.ShortSize(v.Size)}, {"user", v.Config.User},
		{"directory", v.Config.WorkingDir}, {"entrypoint", strings.Join(v.Config.Entrypoint, " ")},
		{"command", strings.Join(v.Config.Cmd, " ")},
		{"ports", strings.Join(v.Config.ExposedPorts, " ")}, {"in use by", strings.Join(v.Users, " ")},
	}
	if !v.Owners {
		lines = append(lines, [2]string{"owners", "all files belong to this user"})
	}
	for _, e := range v.Config.Env {
		lines = append(lines, [2]string{"env", e})
	}
	for _, l := range v.Layers {
		lines = append(lines, [2]string{"layer", strings.TrimSpace(fmt.Sprintf("%8s  %s", term.ShortSize(l.Size), l.Dir))})
	}
	for _, line := range lines {
		if line[1] != "" {
			if err := term.Printf(a.Out, "%-11s %s\n", line[0]+":", term.Line(line[1])); err != nil {
				return err
			}
		}
	}
	return nil
}
