package nodecmd

import (
	"context"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/promise"
	"github.com/hostler-project/hostler/slapos/node/service"
)

// runPromises runs the promises and says which ones failed.
func runPromises(ctx context.Context, s *session.Session, n *service.Node, only []string) error {
	failures, err := n.Promises(ctx, only)
	if err != nil || len(failures) == 0 {
		return err
	}
	s.Log.Say("%s", strings.Repeat("=", 80))
	s.Log.Say("Error with promises for the following partitions:")
	for _, f := range failures {
		s.Log.Say("  %s[%s]: %s", f.Partition, f.Type, f.Err)
	}
	return term.Exit(2)
}

// printHistory prints what the promises of partitions have said.
func printHistory(s *session.Session, n *service.Node, only []string) error {
	ids, err := n.Partitions()
	if err != nil {
		return err
	}
	for _, id := range only {
		if !slices.Contains(ids, id) {
			return &compute.Error{
				ID: compute.ID(id), Kind: compute.ErrNotFound,
				Hint: "it is no partition of " + n.Settings.InstanceRoot + ", or nothing was processed in it",
			}
		}
	}
	views, until := []promiseHistoryView{}, promise.HourEnd(time.Now())
	for _, id := range ids {
		if len(only) > 0 && !slices.Contains(only, id) {
			continue
		}
		of, err := promisesOf(filepath.Join(n.Settings.InstanceRoot, id), id, until)
		if err != nil {
			s.Log.Warn("%s: what its promises have said cannot be read: %s", id, term.ErrorText(err))
		}
		views = append(views, of...)
	}
	if s.App.JSON {
		return s.App.PrintJSON(views)
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
	return s.App.Table([]string{"partition", "promise", "asked", "failed", "last", "hours until " + until.Local().Format("15:04")}, rows)
}

// promisesOf reads what came of the promises of one partition.
func promisesOf(dir, id string, until time.Time) (views []promiseHistoryView, err error) {
	d, err := home.Open(dir)
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
