package deploycmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy"
)

// destroyOptions are the options of destroy.
type destroyOptions struct {
	gate            deploy.Gate
	command         string
	all, force, yes bool
	anyones         bool
	old             bool // called as destroy-node
}

func NewDestroy(a *cli.App) *cobra.Command {
	var o destroyOptions
	cmd := &cobra.Command{
		Use:   "destroy NAME...",
		Short: "Unmake nodes, if tests have passed where that is asked for",
		Long: `Unmake nodes: give back what is under each NAME, which is a node's or an instance's, and have it discarded. Only what deploy made goes, or what has a name that begins with
one of destroyable-prefixes in [deploy] of hostler.conf; anything else takes --force. Either all names are good or nothing is changed.

With --junit, --if or both, nodes go only when all tests have passed. Files may be JUnit's XML, TAP, and what go test -json prints. A file without tests, or with a suite
that does not say how many failed, keeps the nodes unless --allow-empty is given.`,
		Example: "  hostler destroy web-1\n  hostler destroy web-1 --junit 'results/*.xml'\n  hostler destroy $(hostler list --json | jq -r '.[].name') --yes",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return destroy(a, cmd.Context(), &o, args)
		},
		ValidArgsFunction: func(cmd *cobra.Command, p1 []string, p2 string) (cli.Candidates, cobra.ShellCompDirective) {
			return completeNodes(a, cmd, p1, p2)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(
		&o.gate.Files, "junit", "t", nil,
		"only if all tests in `FILE`, or in the files of a pattern, have passed; may be repeated",
	)
	f.BoolVar(&o.gate.AllowEmpty, "allow-empty", false, "take a file without tests for passed")
	f.StringVar(&o.command, "if", "", "only if `COMMAND`, run by sh here, returns 0")
	f.BoolVar(&o.all, "all", false, "all that a NAME can mean, where that is several")
	f.BoolVarP(&o.force, "force", "f", false, "also what deploy did not make")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask on a terminal")
	f.BoolVar(&o.anyones, "any", false, "whoever has the lease; for administrators")
	return cmd
}

// destroy gives back the chosen nodes, after it has asked.
func destroy(a *cli.App, ctx context.Context, o *destroyOptions, names []string) error {
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	settings, err := deploySettings(a)
	if err != nil {
		return err
	}
	owner := a.Owner()
	if o.anyones {
		owner = ""
	}
	all, err := deploy.List(ctx, engine, owner)
	if err != nil {
		return err
	}
	chosen, err := deploy.Choose(all, names, deploy.ChooseOptions{All: o.all || o.old, Force: o.force, Free: settings.Free()})
	if err != nil {
		return err
	}
	if err := passed(a, ctx, o); err != nil {
		return err
	}
	if !o.yes && !o.old && !a.Compat && a.CanAsk() && !askAll(a, chosen) {
		return fault.Denied("--yes does not ask", "nothing is destroyed")
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	done := make([]leasecmd.ReleasedView, 0, len(chosen))
	var ids []compute.ID
	for _, n := range chosen {
		ids = append(ids, n.Lease.Instance)
		if n.Lease.Share != nil {
			// other leases on the same instance stay
			ids[len(ids)-1] = compute.ID(n.Lease.ID)
		}
		done = append(done, leasecmd.ReleasedView{Name: n.Name(), Instance: string(n.Lease.Instance)})
	}
	who := a.Who(ctx, engine, names...)
	who.Admin = o.anyones
	opt := compute.ReleaseOptions{Force: true}
	if err = engine.Release(ctx, who, opt, ids...); err == nil && !o.old {
		err = leasecmd.SayReleased(a, ctx, engine, done, opt)
	}
	a.Ring(context.WithoutCancel(ctx))
	return a.Interrupted(err, "what was given back goes all the same")
}

// askAll asks the user about all nodes together.
func askAll(a *cli.App, nodes []deploy.Existing) bool {
	var names []string
	for _, n := range nodes {
		names = append(names, fmt.Sprintf("%s (%s)", n.Name(), n.Lease.Instance))
	}
	return a.Confirm("destroy " + strings.Join(names, ", ") + "?")
}
