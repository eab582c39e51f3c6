package nodecmd

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/slapos/node/service"
)

func newInstance(s *session.Session) *cobra.Command {
	o := service.InstanceOptions{}
	var only string
	cmd := newNodeCommand(s, &cobra.Command{
		Use:   "instance",
		Short: "Have the instances on this computer that the master wants",
		Long: `Do a pass over the partitions: have in each the instance that the master wants there, started, stopped or gone, and tell the master. What is as it is wanted is left alone until
maximum_periodicity has passed.

Exit status: 0 done, 1 an instance failed, 2 only promises failed (or usage), 3 the master was not reached, and what should run was started, 10 another such process runs.`,
		Example: "  hostler slapos node instance --now\n  hostler slapos node instance --only-cp slappart0,slappart1 --force",
		Args:    cobra.NoArgs,
	}, service.InstancePass, func(ctx context.Context, n *service.Node, _ []string) error {
		for name := range strings.SplitSeq(only, ",") {
			if name = strings.TrimSpace(name); name != "" {
				o.Only = append(o.Only, name)
			}
		}
		out, err := n.Instances(ctx, o)
		if out.Report != "" {
			s.Log.Warn("%s", out.Report)
		}
		if err == nil && out.Status != 0 {
			return term.Exit(out.Status)
		}
		return err
	})
	f := cmd.Flags()
	f.StringVar(&only, "only-cp", "", "look at the partitions `NAMES` alone, with commas between them")
	f.StringVar(&only, "only", "", "as --only-cp: `NAMES`")
	f.BoolVar(&o.Force, "force", false, "process what is up to date too")
	f.BoolVar(&o.Force, "all", false, "as --force")
	f.BoolVar(&o.Stop, "force-stop", false, "stop what is wanted started, and do not tell the master")
	f.BoolVar(&o.Debug, "buildout-debug", false, "have buildout wait in Python's debugger where it fails")
	for _, name := range []string{"only", "all"} {
		_ = f.MarkHidden(name)
	}
	return cmd
}
