package metalcmd

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/director/imagecache"
)

// metalOnce runs one round. It waits for work of several steps, up to a limit.
func metalOnce(a *cli.App, ctx context.Context, opt imagecache.Options, most time.Duration) error {
	l, err := imagecache.New(opt)
	if err != nil {
		return err
	}
	r, err := l.Round(ctx)
	if err != nil {
		return err
	}
	if err := printRound(a, r); err != nil {
		return err
	}
	c, ok := opt.Commander.(metal.Resumer)
	if !ok || opt.DryRun {
		return metalWrong(r.Wrong())
	}
	left := c.Finish(ctx, most)
	wrong := r.Wrong()
	if ctx.Err() == nil && most > 0 { // some work may have ended
		after, err := l.Settle(ctx)
		if err != nil {
			return fmt.Errorf("what became of it could not be seen: %w", err)
		}
		wrong = append(wrong, after.Wrong()...)
	}
	if err := metalWrong(wrong); len(left) == 0 || err != nil {
		return err
	}
	became := fmt.Sprintf("images are still being written to %d nodes: the next run goes on with them", len(left))
	if ctx.Err() != nil {
		return a.Interrupted(ctx.Err(), became)
	}
	return term.Printf(a.Err, "%s: %s\n", a.Program, became)
}

// metalWrong returns the error of a round that failed at some nodes, or nil.
func metalWrong(all []string) error {
	if len(all) == 0 {
		return nil
	}
	const most = 5
	text := strings.Join(all[:min(len(all), most)], "; ")
	if n := len(all) - most; n > 0 {
		text += fmt.Sprintf("; and at %d more nodes", n)
	}
	return &compute.Error{
		Kind: compute.ErrFailed, Err: errors.New(text),
		Hint: "the next runs try again, each time after a longer pause; hostler director explain lists the nodes that are left alone",
	}
}

// printRound prints the result of a round as a difference: + an image is written to a node, - a
// node is ejected.
func printRound(a *cli.App, r *imagecache.Report) error {
	if a.JSON {
		return a.PrintJSON(r)
	}
	var out bytes.Buffer
	for _, d := range r.Directives {
		sign, image := "+", cmp.Or(d.Title, d.Image)
		if d.Do == imagecache.Eject {
			sign = "-"
		}
		line := fmt.Sprintf(
			"%s %s %s (%s) %s: %s", sign, cmp.Or(d.Name, d.Node), cmp.Or(image, "unknown"), d.Flavor, d.Result,
			cmp.Or(d.Error, d.Reason),
		)
		fmt.Fprintln(&out, term.Line(line))
	}
	if len(r.Directives) == 0 {
		fmt.Fprintln(&out, "nothing is to be done")
	}
	if r.Held != "" {
		fmt.Fprintf(&out, "held back: %s: where it is meant: hostler director confirm --eject %d\n", r.Held, r.HeldBack())
	}
	if r.Unlisted > 0 {
		fmt.Fprintf(
			&out,
			"%d of the nodes are of no flavor that is kept ready: hostler director explain NODE says of which they are\n",
			r.Unlisted,
		)
	}
	fmt.Fprintf(
		&out, "nodes %d: %d not to be had, %d with an image, %d free; under way %d, left alone %d\n", r.All.Total,
		r.All.Provisioned, r.All.Cached, r.All.Available, r.UnderWay, r.Left,
	)
	_, err := out.WriteTo(a.Out)
	return err
}
