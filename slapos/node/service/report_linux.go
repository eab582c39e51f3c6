package service

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/node/collect"
	"github.com/hostler-project/hostler/slapos/node/report"
	"github.com/hostler-project/hostler/slapos/node/statusreport"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

// Report makes a report pass. It returns how many partitions failed.
func (n *Node) Report(ctx context.Context) (failed int, err error) {
	sup, err := n.Supervisor(ctx)
	if err != nil {
		return 0, err
	}
	defer sup.Close()
	pass, err := n.reportPass(sup)
	if err != nil {
		return 0, err
	}
	out, err := pass.Run(ctx)
	if err == nil {
		n.tell(ctx, sup, out.Partitions)
	}
	return out.Failed, err
}

// reportPass is what makes a report pass by the node's settings.
func (n *Node) reportPass(sup *supervise.Client) (*report.Pass, error) {
	hooks, err := n.hooks(sup)
	if err != nil {
		return nil, err
	}
	return &report.Pass{Master: n.master, Supervisor: sup, Computer: n.Settings.Computer, InstanceRoot: n.Settings.InstanceRoot,
		Certificates: n.Settings.Certificates, Storage: n.Settings.InstanceHome,
		Timeout: n.Settings.PartitionTimeout, Hook: hooks.Report, Log: n.say}, nil
}

// tell reports to a hostler master what runs in partitions after a pass (nil: in all), if that is
// new. A failure does not fail the pass.
func (n *Node) tell(ctx context.Context, sup *supervise.Client, partitions []string) {
	t := &statusreport.Sender{Master: n.master, Supervisor: sup, Computer: n.Settings.Computer, InstanceRoot: n.Settings.InstanceRoot}
	if _, err := t.Send(ctx, partitions); err != nil && ctx.Err() == nil {
		n.Log.Note("The master could not be told what runs here: %s", api.Text(err))
	}
}

// tellEvery is how often a daemon looks whether there is something to tell.
const tellEvery = 10 * time.Second

// keepTelling reports to a hostler master what runs here, as it changes, until ctx ends.
func (n *Node) keepTelling(ctx context.Context, sup *supervise.Client) {
	for tick := time.NewTicker(tellEvery); ; {
		n.tell(ctx, sup, nil)
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
}

// Collect takes a sample of what the node and its partitions use.
func (n *Node) Collect(ctx context.Context) error {
	if n.Settings.Computer == "" {
		return fault.Invalid("", "the section [slapos] of %s lacks computer_id", n.Path)
	}
	if err := n.checkRoot("it looks at processes of other users", " has it look at yours"); err != nil {
		return err
	}
	c := &collect.Collector{Computer: n.Settings.Computer, InstanceRoot: n.Settings.InstanceRoot,
		SoftwareRoot: n.Settings.SoftwareRoot, Days: n.Settings.CollectDays, Folders: true, Cycle: 24 * time.Hour, Log: n.warn}
	// SlapOS's names in the file, and its options' own
	for _, keys := range [][2]string{{"report_disk_usage", "disk_snapshot_time_cycle"}, {"enable", "time_cycle"}} {
		var err error
		if c.Folders, err = n.File.Bool("collect", keys[0], c.Folders); err != nil {
			return fault.Invalid("", "%w", err)
		}
		if c.Cycle, err = n.File.Seconds("collect", keys[1], c.Cycle); err != nil {
			return fault.Invalid("", "%w", err)
		}
	}
	return c.Run(ctx)
}
