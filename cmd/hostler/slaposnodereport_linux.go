package main

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/slapos/node/collect"
	"github.com/hostler-project/hostler/slapos/node/report"
	nodeseen "github.com/hostler-project/hostler/slapos/node/seen"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

// report makes a report pass.
func (n *nodeCommand) report(ctx context.Context) error {
	sup, err := n.supervisor(ctx)
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
	if n.say("Finished reporting."); out.Failed > 0 {
		return term.Exit(1)
	}
	return nil
}

// reportPass is what makes a report pass by the node's settings.
func (n *nodeCommand) reportPass(sup *supervise.Client) (*report.Pass, error) {
	hooks, err := n.hooks(sup)
	if err != nil {
		return nil, err
	}
	return &report.Pass{Master: n.client, Supervisor: sup, Computer: n.node.Computer, InstanceRoot: n.node.InstanceRoot,
		Certificates: n.node.Certificates, Storage: n.node.InstanceHome,
		Timeout: n.node.PartitionTimeout, Hook: hooks.Report, Log: func(line string) { n.say("%s", line) }}, nil
}

// tell tells a master of ours what runs in partitions after a pass (nil: in all), if that is news.
// That it cannot be told spoils no pass.
func (n *nodeCommand) tell(ctx context.Context, sup *supervise.Client, partitions []string) {
	t := &nodeseen.Teller{Master: n.client, Supervisor: sup, Computer: n.node.Computer, InstanceRoot: n.node.InstanceRoot}
	if _, err := t.Tell(ctx, partitions); err != nil && ctx.Err() == nil {
		n.note("The master could not be told what runs here: %s", term.ErrorText(err))
	}
}

// tellEvery is how often a daemon looks whether there is something to tell.
const tellEvery = 10 * time.Second

// keepTelling tells a master of ours what runs here, as it changes, until ctx ends.
func (n *nodeCommand) keepTelling(ctx context.Context, sup *supervise.Client) {
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
func (n *nodeCommand) collect(ctx context.Context, folders bool, cycle time.Duration) error {
	c := &collect.Collector{Computer: n.node.Computer, InstanceRoot: n.node.InstanceRoot,
		SoftwareRoot: n.node.SoftwareRoot, Days: n.node.CollectDays, Folders: folders, Cycle: cycle,
		Log: func(line string) { n.warn("%s", line) }}
	return c.Run(ctx)
}
