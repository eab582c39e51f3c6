package slaposcmd

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
)

func newSlaposNodeReport(s *Slapos) *cobra.Command {
	return s.newNodeCommand(&cobra.Command{
		Use:   "report",
		Short: "Tell the master what was used, and destroy what is wanted destroyed",
		Long: `Run the programs of the partitions' etc/report, tell the master what they and others have left in var/xml_report as one journal, and destroy the instances that are wanted destroyed: each when it need
not be kept any more (retention_delay), when the programs for which it waits have ended, and when what it used was told.

Exit status: 1 something failed; the others were done.`,
		Example: "  hostler slapos node report --now",
		Args:    cobra.NoArgs,
	}, passReport, func(ctx context.Context, n *NodeCommand, _ []string) error { return n.report(ctx) })
}

func newSlaposNodeCollect(s *Slapos) *cobra.Command {
	return s.newNodeCommand(&cobra.Command{
		Use:   "collect",
		Short: "Note what this node and its partitions use now",
		Long: `Take a sample of what the partitions' processes, the disks, the network and the machine use, into var/data-log/collector.db in the instances' directory: cron does it every minute or so. Of days that are
over it makes DAY.tar.gz there, with tables as text, and a journal that hostler slapos node report sends; what was reported is forgotten after collect_cache days (15).

Keys of [collect]: report_disk_usage = false, or enable, measures no folders; disk_snapshot_time_cycle, or time_cycle, is after how many seconds each is measured again (86400).`,
		Example: "  hostler slapos node collect",
		Args:    cobra.NoArgs,
	}, passNone, func(ctx context.Context, n *NodeCommand, _ []string) error {
		switch {
		case n.Node.Computer == "":
			return fault.Invalid("", "the section [slapos] of %s lacks computer_id", n.Path)
		case n.Node.RootCheck && os.Geteuid() != 0:
			return &compute.Error{
				Kind: compute.ErrDenied, Err: errors.New("this is for root: it looks at processes of other users"),
				Hint: "root_check = false in [slapos] has it look at yours",
			}
		}
		if err := n.isNode(); err != nil {
			return err
		}
		folders, cycle, err := true, 24*time.Hour, error(nil)
		// SlapOS's names in the file, and its options' own
		for _, keys := range [][2]string{{"report_disk_usage", "disk_snapshot_time_cycle"}, {"enable", "time_cycle"}} {
			if folders, err = n.File.Bool("collect", keys[0], folders); err != nil {
				return fault.Invalid("", "%w", err)
			}
			if cycle, err = n.File.Seconds("collect", keys[1], cycle); err != nil {
				return fault.Invalid("", "%w", err)
			}
		}
		return n.collect(ctx, folders, cycle)
	})
}
