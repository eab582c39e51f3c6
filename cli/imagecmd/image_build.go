package imagecmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
)

// builtView is what `image build --json` prints.
type builtView struct {
	Image   string   `json:"image"`
	Digest  string   `json:"digest"`
	Made    bool     `json:"made"`
	Source  string   `json:"source"`
	Base    string   `json:"base"`
	Bundles []string `json:"bundles"`
	Size    int64    `json:"size"`
}

func newImageBuild(a *cli.App) *cobra.Command {
	var bundles, vars []string
	cmd := &cobra.Command{
		Use:   "build -s SOURCE [NAME]",
		Short: "Make an image of a source's instance with bundles on it",
		Long: `Have an instance of a source made from the source's image, put its bundles and those of --bundle on it, make an image of it, and discard it. The image is
named by what went into it: the digest of the image before, the bundles, their arguments. One that is there is not made again, and of several commands
at the same time one builds and the others wait. When a step fails nothing is left. NAME is a further name for it, as sources may have it in their image
key. Set-up hooks of the source are not run for it; they are for each instance that is made from it.

Built are images for sources of type sandbox that have an image, chroot, container and vm; docs/images.md says more. A source with ` + "`build = yes`" + ` does this by itself.`,
		Example: "  hostler image build -s web\n  hostler image build -s web --bundle tools -t version=3 web:3",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return imageBuild(a, cmd.Context(), bundles, vars, name)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.WithSource(cmd)
	f := cmd.Flags()
	f.StringSliceVarP(&bundles, "bundle", "b", nil, "put `BUNDLE` on it, beside those that the source lists; may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("bundle", a.CompleteBundles)
	f.StringArrayVarP(&vars, "var", "t", nil, "give a variable a value: `NAME=VALUE`; VALUE may be env:NAME, file:PATH or command:WORDS")
	return cmd
}

// imageBuild builds an image of a source, or finds the one that is built already.
func imageBuild(a *cli.App, ctx context.Context, bundles, vars []string, name string) error {
	b, err := builderNamed(a, ctx, bundles, vars, name)
	if err != nil {
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	if !a.Quiet {
		b.Notify = func(o bundle.Outcome) {
			if o.Action == bundle.Running && o.Step.Kind == bundle.KindScript {
				_ = term.Printf(a.Err, "== %s\n", term.Line(o.Step.Title()))
			}
		}
	}
	r, made, err := b.Build(ctx)
	if err != nil {
		return a.Interrupted(err, "nothing is built")
	}
	img, err := b.Built(ctx, r, name)
	if err != nil {
		return err
	}
	if a.JSON {
		v := builtView{Image: img.Name, Digest: img.Digest, Made: made, Source: b.Source, Base: r.Base, Bundles: []string{}, Size: img.Size}
		for _, p := range r.Bundles {
			v.Bundles = append(v.Bundles, p.Name)
		}
		return a.PrintJSON(v)
	}
	return term.Printf(a.Out, "%s %s\n", term.Line(img.Name), shortDigest(img.Digest))
}
