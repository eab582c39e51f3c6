package metalcmd

import (
	"fmt"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
)

// explanationView is what was decided of a node, in `director plan --explain NODE --json`.
type explanationView struct {
	Node string `json:"node"`
	Why  string `json:"why"`
}

// explainLine prints for each of some nodes what is decided of it, and why.
func explainLine(a *cli.App, c *strategy.Case, nodes []string) error {
	d := c.Strategy.Decide(&c.Fleet)
	for _, node := range nodes {
		why, there := d.Explain(&c.Fleet, node)
		if !there {
			return &compute.Error{Kind: compute.ErrNotFound, Err: fmt.Errorf("no node %s among %d", node, len(c.Fleet.Nodes))}
		}
		if a.JSON {
			if err := a.PrintLine(explanationView{node, why}); err != nil {
				return err
			}
		} else if err := term.Printf(a.Out, "%s: %s\n", term.Line(node), term.Line(why)); err != nil {
			return err
		}
	}
	return nil
}
