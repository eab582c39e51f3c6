package slaposcmd

import (
	"context"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host/version"
	nodehome "github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/promise"
	"github.com/hostler-project/hostler/slapos/node/software"
	"github.com/hostler-project/hostler/slapos/node/statusreport"
)

// promiseNode is what this node knows for the promises of its partitions.
func (n *NodeCommand) promiseNode() *promise.Node {
	return &promise.Node{Computer: n.Node.Computer, MasterURL: n.Node.Master, InstanceRoot: n.Node.InstanceRoot,
		Certificates: n.Node.Certificates,
		Release:      (&software.Builder{Root: n.Node.SoftwareRoot}).Dir, Version: version.Read().Version,
		Timeout: n.Node.PromiseTimeout, Debug: n.A.Debug,
		Log: func(line string) { n.Say("%s", line) }}
}

// promise asks all promises.
func (n *NodeCommand) promise(ctx context.Context, only []string) error {
	found, err := n.promiseNode().Check(ctx, n.client, only)
	if err != nil || len(found) == 0 {
		return err
	}
	n.Say("%s", strings.Repeat("=", 80))
	n.Say("Error with promises for the following partitions:")
	for _, one := range found {
		n.Say("  %s[%s]: %s", one.Partition.ID, one.Partition.Type, one.Err)
	}
	return term.Exit(2)
}

// promiseHistory prints what the promises of partitions have said.
func (n *NodeCommand) promiseHistory(only []string) error {
	ids, err := statusreport.Partitions(n.Node.InstanceRoot)
	if err != nil {
		return err
	}
	for _, id := range only {
		if !slices.Contains(ids, id) {
			return &compute.Error{
				ID: compute.ID(id), Kind: compute.ErrNotFound,
				Hint: "it is no partition of " + n.Node.InstanceRoot + ", or nothing was processed in it",
			}
		}
	}
	views, until := []promiseHistoryView{}, promise.HourEnd(time.Now())
	for _, id := range ids {
		if len(only) > 0 && !slices.Contains(only, id) {
			continue
		}
		of, err := promisesOf(filepath.Join(n.Node.InstanceRoot, id), id, until)
		if err != nil {
			n.Warn("%s: what its promises have said cannot be read: %s", id, term.ErrorText(err))
		}
		views = append(views, of...)
	}
	if n.A.JSON {
		return n.A.PrintJSON(views)
	}
	rows := make([][]string, len(views))
	for i, v := range views {
		failed, last := 0, "never"
		for _, r := range v.Results {
			if r.Failed {
				failed++
			}
			last = term.ShortDuration(time.Since(r.At)) + " ago"
		}
		rows[i] = []string{v.Partition, term.Line(v.Promise), strconv.Itoa(len(v.Results)), strconv.Itoa(failed), last, v.Hours}
	}
	return n.A.Table([]string{"partition", "promise", "asked", "failed", "last", "hours until " + until.Local().Format("15:04")}, rows)
}

func promisesOf(dir, id string, until time.Time) (views []promiseHistoryView, err error) {
	d, err := nodehome.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	all, err := promise.Last(d)
	for _, p := range all {
		entries, err := promise.History(d, p.Title, time.Time{})
		if err != nil {
			return views, err
		}
		v := promiseHistoryView{
			Partition: id, Promise: p.Name, Hours: promise.Hours(entries, until), Until: until,
			Results: make([]promiseResultView, len(entries)),
		}
		for i, e := range entries {
			v.Results[i] = promiseResultView{e.Date, strings.ToLower(strings.TrimSuffix(string(e.Kind), " Result")), e.Failed, e.Took}
		}
		views = append(views, v)
	}
	return views, err
}
