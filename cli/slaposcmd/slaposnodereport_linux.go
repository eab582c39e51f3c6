package slaposcmd

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/slapos/node/collect"
	"github.com/hostler-project/hostler/slapos/node/report"
	"github.com/hostler-project/hostler/slapos/node/statusreport"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

// report makes a report pass.
func (n *NodeCommand) report(ctx context.Context) error {
	sup, err := n.Supervisor(ctx)
	if err != nil {
		return err
	}
	defer sup.Close()
	pass, err := n.reportPass(sup)
	if err != nil {
		return err
	}
	out, err := pass.Run(ctx)
	if err != nil {
		return err
	}
	n.tell(ctx, sup, out.Partitions)
	if n.Say("Finished reporting."); out.Failed > 0 {
		return term.Exit(1)
	}
	return nil
}

// reportPass is what makes a report pass by the node's settings.
func (n *NodeCommand) reportPass(sup *supervise.Client) (*report.Pass, error) {
	hooks, err := n.hooks(sup)
	if err != nil {
		return nil, err
	}
	return &report.Pass{Master: n.client, Supervisor: sup, Computer: n.Node.Computer, InstanceRoot: n.Node.InstanceRoot,
		Certificates: n.Node.Certificates, Storage: n.Node.InstanceHome,
		Timeout: n.Node.PartitionTimeout, Hook: hooks.Report, Log: func(line string) { n.Say("%s", line) }}, nil
}

// tell reports to a hostler master what runs in partitions after a pass (nil: in all), if that is
// new. A failure does not fail the pass.
func (n *NodeCommand) tell(ctx context.Context, sup *supervise.Client, partitions []string) {
	t := &statusreport.Teller{Master: n.client, Supervisor: sup, Computer: n.Node.Computer, InstanceRoot: n.Node.InstanceRoot}
	if _, err := t.Tell(ctx, partitions); err != nil && ctx.Err() == nil {
		n.Note("The master could not be told what runs here: %s", term.ErrorText(err))
	}
}

// tellEvery is how often a daemon looks whether there is something to tell.
const tellEvery = 10 * time.Second

// keepTelling reports to a hostler master what runs here, as it changes, until ctx ends.
func (n *NodeCommand) keepTelling(ctx context.Context, sup *supervise.Client) {
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

// collect takes a sample.
func (n *NodeCommand) collect(ctx context.Context, folders bool, cycle time.Duration) error {
	c := &collect.Collector{Computer: n.Node.Computer, InstanceRoot: n.Node.InstanceRoot,
		SoftwareRoot: n.Node.SoftwareRoot, Days: n.Node.CollectDays, Folders: folders, Cycle: cycle,
		Log: func(line string) { n.Warn("%s", line) }}
	return c.Run(ctx)
}
