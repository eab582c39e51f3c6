package deploycmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/deploy"
)

// printed prints the nodes that are ready. Where names that hostler made up cannot be printed,
// nobody would give the nodes back, so they are destroyed.
func (d *deploying) printed(ctx context.Context, nodes []*deploy.Node, views []NodeView) error {
	err := d.print(views)
	if err == nil || !d.madeUp {
		return err
	}
	var gone []string
	for _, n := range nodes {
		if n.State == deploy.Done {
			if e := d.release(ctx, n); e != nil {
				return errors.Join(fmt.Errorf("the nodes cannot be printed: %w", err), fmt.Errorf("%s: not destroyed: %w", n.Name, e))
			}
			gone = append(gone, n.Name)
		}
	}
	d.app.Ring(ctx)
	return fmt.Errorf("the nodes cannot be printed: %w; %s: destroyed", err, strings.Join(gone, " "))
}

// print prints the nodes that are ready.
func (d *deploying) print(views []NodeView) error {
	a := d.app
	if a.JSON {
		return a.PrintJSON(views)
	}
	var errs []error
	for _, v := range views {
		if v.Status == string(deploy.Done) {
			words := []string{v.Name, v.Instance}
			for _, address := range append(v.PublicIP, v.PrivateIP...) {
				words = append(words, term.Line(address))
			}
			errs = append(errs, term.Printf(a.Out, "%s\n", strings.Join(words, " ")))
		}
	}
	return errors.Join(errs...)
}

// sayMadeUp says which node is made, as nobody named one, and how long it lasts.
func (d *deploying) sayMadeUp(ttl time.Duration) {
	if !d.madeUp || d.opt.old || d.app.JSON {
		return
	}
	until := "until it is destroyed"
	if ttl > 0 {
		until = "for " + term.TypedDuration(ttl)
	}
	what := "no NAME is given: making " + d.names[0]
	if len(d.names) > 1 {
		what = fmt.Sprintf("no NAME is given: making %d nodes", len(d.names))
	}
	d.app.Say("%s, %s", what, until)
}
