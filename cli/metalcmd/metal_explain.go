package metalcmd

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/director/imagecache"
)

// newMetalExplain returns the command director explain.
func newMetalExplain(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "explain [NODE...]",
		Short: "Say what is decided of bare-metal nodes, and why; without a name: which are worked on or left alone",
		Long: `Look, decide, and say of each node what its service says of it, what was done with it before, and what is decided of it now and why. Nothing is done.
Without a NODE all nodes are listed that something is under way on, or that are left alone after failures, and standard error has the alarms that stand; nobody is
asked for that.`,
		Example: "  hostler director explain node-17\n  hostler director explain --json",
		RunE:    func(cmd *cobra.Command, args []string) error { return metalExplain(a, cmd.Context(), args) },
	}
}

// metalExplain prints what is known of nodes.
func metalExplain(a *cli.App, ctx context.Context, nodes []string) error {
	cfg, store, err := metalStore(a, ctx)
	if err != nil {
		return err
	}
	var all []imagecache.Explanation
	if len(nodes) == 0 {
		if all, err = imagecache.Remembered(ctx, store); err != nil {
			return err
		}
		if err := metalAlarms(a, ctx, store); err != nil {
			return err
		}
	} else {
		logWarnings(a)
		opt, _, closer, err := metalSetup(a).Options(ctx, cfg, store)
		defer closer()
		if err != nil {
			return err
		}
		l, err := imagecache.New(opt)
		if err != nil {
			return err
		}
		if all, err = l.Explain(ctx, nodes...); err != nil {
			return err
		}
	}
	if a.JSON {
		return a.PrintJSON(append([]imagecache.Explanation{}, all...))
	}
	if len(nodes) == 0 {
		var rows [][]string
		for _, e := range all {
			rows = append(
				rows,
				[]string{
					e.Node, e.Name, e.Flavor, string(e.Flight.Do), e.Flight.State, strconv.Itoa(e.Flight.Failures),
					term.Line(e.Remembered),
				},
			)
		}
		return a.Table([]string{"node", "name", "flavor", "do", "state", "failures", "why"}, rows)
	}
	for _, e := range all {
		lines := []string{"seen: " + e.Seen}
		if e.Remembered != "" {
			lines = append(lines, "remembered: "+e.Remembered)
		}
		if e.Suspended != "" {
			lines = append(lines, "suspended: "+e.Suspended)
		}
		lines = append(lines, "decided: "+e.Decided)
		if d := e.Directive; d != nil {
			lines = append(lines, fmt.Sprintf("now: %s %s: %s", d.Do, d.Result, cmp.Or(d.Error, d.Reason)))
		}
		for _, line := range lines {
			if err := term.Printf(a.Out, "%s: %s\n", term.Line(cmp.Or(e.Name, e.Node)), term.Line(line)); err != nil {
				return err
			}
		}
	}
	return nil
}
