package nodecmd

import (
	"context"
	"net"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/slapos/node/hook/forward"
	"github.com/hostler-project/hostler/slapos/node/service"
)

// newPromise makes the command that asks the promises of a node's partitions.
func newPromise(s *session.Session) *cobra.Command {
	var only func() []string
	var history *bool
	cmd := newNodeCommand(s, &cobra.Command{
		Use:   "promise",
		Short: "Ask the promises of this node's partitions",
		Long: `Run all promises, etc/promise and etc/plugin, of the partitions whose instances are to be started, whether they are due or not, each as its partition's user. What they said is kept in
.slapgrid/promise of the partition. The master is told nothing: that is for hostler slapos node instance.

With --history none is run: it prints what each promise has said in the last 24 hours, an hour a character: - nothing was asked, 0 it was kept, 1 to 9 the share of times at which it failed, 9 all of them. A pass
may run meanwhile. With --json all results are told that are kept.

Exit status: 0 all is well, 1 failed, 2 usage, or some promise failed, 10 another pass over instances runs.`,
		Example: "  hostler slapos node promise --only-cp slappart0,slappart3\n  hostler slapos node promise --history",
		Args:    cobra.NoArgs,
	}, service.PromisePass, func(ctx context.Context, n *service.Node, _ []string) error {
		if *history {
			return printHistory(s, n, only())
		}
		return runPromises(ctx, s, n, only())
	})
	history = cmd.Flags().Bool(historyOption, false, "run none: print what they have said")
	only = onlyOption(cmd.Flags(), "only-cp", "only those of the partitions `NAMES`, with commas between them")
	return cmd
}

const historyOption = "history"

// promiseHistoryView is one of the list that `slapos node promise --history --json` prints.
type promiseHistoryView struct {
	Partition string              `json:"partition"`
	Promise   string              `json:"promise"`
	Hours     string              `json:"hours"`
	Until     time.Time           `json:"until"`
	Results   []promiseResultView `json:"results"`
}

// promiseResultView is what a promise said once.
type promiseResultView struct {
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	Failed bool      `json:"failed"`
	Took   float64   `json:"took"`
}

// onlyOption makes an option for some names alone, and --only, which is the same.
func onlyOption(f *pflag.FlagSet, name, usage string) func() []string {
	long := f.StringSlice(name, nil, usage)
	short := f.StringSlice("only", nil, usage)
	_ = f.MarkHidden("only")
	return func() []string { return append(*long, *short...) }
}

// newForward makes the program that a node's supervisor runs for a port that leads to a
// partition.
func newForward(s *session.Session) *cobra.Command {
	return &cobra.Command{
		Use:     "forward tcp|udp FROM TO [UID GID]",
		Short:   "Have a port lead to another",
		Example: "  hostler slapos node forward tcp 0.0.0.0:80 [2001:db8::1]:8080",
		Hidden:  true,
		Args:    cobra.RangeArgs(3, 5),
		RunE: s.RunE(func(ctx context.Context, args []string) error {
			o, err := forward.Parse(args)
			if err != nil {
				return err
			}
			return forward.Run(ctx, o, func(at net.Addr) { s.Log.Say("%s leads to %s", at, o.To) })
		}),
	}
}
