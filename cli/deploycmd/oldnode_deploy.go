package deploycmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy"
)

// deployNode makes one node as deploy does, and prints the results of its scripts. The exit status
// is the sum of theirs.
func deployNode(a *cli.App, ctx context.Context, o *oldNodeOptions, words []string) error {
	if len(words) > 0 {
		return fault.Invalid("", "deploy-node takes no words beside options: %q", words)
	}
	d := &deploying{app: a, opt: &o.deploy}
	o.deploy.old, o.deploy.count, o.deploy.userID, o.deploy.secretKey = true, 1, o.userID, o.secretKey
	nodes, err := d.deploy(ctx)
	if err != nil {
		return err
	}
	n := nodes[0]
	public, private := deploy.Existing{Lease: n.Lease, Instance: n.Instance}.Addresses()
	if err := term.Printf(a.Out, "%s %s\n", n.Name, strings.Join(append(public, private...), " ")); err != nil {
		return err
	}
	var statuses []int
	for _, s := range n.Steps {
		if !s.Script {
			continue
		}
		statuses = append(statuses, s.Status)
		if err := a.WriteContent(fmt.Sprintf(
			"*%s: %d\n%s\n%s\n", s.Name, s.Status, d.show.mask(s.Text), d.show.mask(s.Output),
		)); err != nil {
			return err
		}
	}
	if sum := deploy.ScriptStatus(statuses); sum != 0 {
		return term.Exit(sum)
	}
	return nil
}
