package imagecmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/pool"
)

// promotedView is what `image promote --json` prints.
type promotedView struct {
	Source string    `json:"source"`
	Image  string    `json:"image"`
	Name   string    `json:"name"`
	Since  time.Time `json:"since"`
	Before []string  `json:"before"`
	Proved bool      `json:"proved"`
	Failed string    `json:"failed,omitempty"`
	Why    string    `json:"why,omitempty"`
}

// viewPromotion describes which image a source has now, and those before it.
func viewPromotion(pr pool.Promotion) promotedView {
	v := promotedView{
		Source: pr.Source, Image: pr.Image, Name: pr.Name, Since: pr.Since, Before: []string{}, Proved: pr.Proved,
		Failed: pr.Failed, Why: pr.Why,
	}
	for _, b := range pr.Before {
		v.Before = append(v.Before, b.Name)
	}
	return v
}

func newImagePromote(a *cli.App) *cobra.Command {
	var back, later bool
	cmd := &cobra.Command{
		Use:   "promote IMAGE -s SOURCE",
		Short: "Have a source's instances come from an image from now on",
		Long: `Have a source's instances come from an image from now on, in place of the one that its source.conf names, until that names another. What the name stands for
now is kept: giving the name to another image later changes nothing.

Instances that stand ready are replaced in waves: as many are made as the wave has, one at first and twice as many each time, and when they are ready as many
of the old ones are discarded. There are never fewer than the source wants. Instances in use stay, and are replaced when they have come back. When one of the new ones
does not become ready the source goes back to the image before, and the command fails. --back goes back by hand.

The command returns when all that stand ready are replaced; --later leaves that to a controller, or to the next promote or fill.`,
		Example: "  hostler image promote web:3 -s web\n  hostler image promote --back -s web",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: a.CompleteImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			if back == (len(args) == 1) {
				return fault.Invalid("hostler image promote IMAGE -s SOURCE, or --back", "either an image or --back")
			}
			name := ""
			if !back {
				name = args[0]
			}
			return imagePromote(a, cmd.Context(), name, later)
		},
	}
	a.WithSource(cmd)
	cmd.Flags().BoolVar(&back, "back", false, "go back to the image before")
	cmd.Flags().BoolVar(&later, "later", false, "replace nothing now")
	return cmd
}

// imagePromote promotes an image, or for "" returns to the one before.
func imagePromote(a *cli.App, ctx context.Context, name string, later bool) error {
	source, err := a.SourceName()
	if err != nil {
		return err
	}
	engine, err := Besides(a, ctx)
	if err != nil {
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	var pr pool.Promotion
	if name == "" {
		pr, err = engine.PromoteBack(ctx, source)
	} else {
		pr, err = engine.Promote(ctx, source, name)
	}
	if err != nil {
		return a.Interrupted(err, "nothing is promoted")
	}
	if !later {
		err = engine.RollOut(ctx, source, func(text string) {
			if !a.Quiet && !a.JSON {
				_ = term.Printf(a.Err, "%s\n", text)
			}
		})
		a.Ring(ctx)
		if err != nil {
			return a.Interrupted(err, "it is promoted, and the next promote or fill goes on with replacing")
		}
		all, err := engine.Promotions(ctx)
		if err != nil {
			return err
		}
		pr = all[source]
	}
	if a.JSON {
		return a.PrintJSON(viewPromotion(pr))
	}
	what := "its own image"
	if pr.Image != "" {
		what = fmt.Sprintf("%s %s", pr.Name, shortDigest(pr.Image))
	}
	return term.Printf(a.Out, "%s: %s\n", term.Line(source), term.Line(what))
}
