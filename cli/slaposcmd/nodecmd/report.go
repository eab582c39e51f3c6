package nodecmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/slapos/node/service"
)

func newReport(s *session.Session) *cobra.Command {
	return newNodeCommand(s, &cobra.Command{
		Use:   "report",
		Short: "Tell the master what was used, and destroy what is wanted destroyed",
		Long: `Run the programs of the partitions' etc/report, tell the master what they and others have left in var/xml_report as one journal, and destroy the instances that are wanted destroyed: each when it need
not be kept any more (retention_delay), when the programs for which it waits have ended, and when what it used was told.

Exit status: 1 something failed; the others were done.`,
		Example: "  hostler slapos node report --now",
		Args:    cobra.NoArgs,
	}, service.ReportPass, func(ctx context.Context, n *service.Node, _ []string) error {
		failed, err := n.Report(ctx)
		if err != nil {
			return err
		}
		if s.Log.Say("Finished reporting."); failed > 0 {
			return term.Exit(1)
		}
		return nil
	})
}

func newCollect(s *session.Session) *cobra.Command {
	return newNodeCommand(s, &cobra.Command{
		Use:   "collect",
		Short: "Note what this node and its partitions use now",
		Long: `Take a sample of what the partitions' processes, the disks, the network and the machine use, into var/data-log/collector.db in the instances' directory: cron does it every minute or so. Of days that are
over it makes DAY.tar.gz there, with tables as text, and a journal that hostler slapos node report sends; what was reported is forgotten after collect_cache days (15).

Keys of [collect]: report_disk_usage = false, or enable, measures no folders; disk_snapshot_time_cycle, or time_cycle, is after how many seconds each is measured again (86400).`,
		Example: "  hostler slapos node collect",
		Args:    cobra.NoArgs,
	}, service.NoPass, func(ctx context.Context, n *service.Node, _ []string) error { return n.Collect(ctx) })
}
