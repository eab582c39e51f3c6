package leasecmd

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
)

func NewStatus(a *cli.App) *cobra.Command {
	var verbose, watch bool
	var query string
	cmd := &cobra.Command{
		Use:   "status [SOURCE...]",
		Short: "Show sources: what is cached, in use, and how many there may be",
		Long: `Show each source with what it has cached (made and not in use) and in use, and its maximum (0: no limit). Note says what is out of the ordinary:
a broken or paused source, failed and held instances, requests that wait, instances of a source that is configured no more. With -v, and a controller that is a SlapOS master, also what runs on its computers.`,
		Example: "  hostler status -v\n  hostler status web --query available\n  hostler status --json --watch",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !watch {
				return status(a, cmd.Context(), args, verbose, query)
			}
			return watchStatus(a, cmd.Context(), args, verbose, query)
		},
		ValidArgsFunction: a.CompleteSources,
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "list the instances too")
	cmd.Flags().StringVar(&query, "query", "", "print one number: `FIELD` available, cached, in-use or max, summed over the sources")
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again whenever it changes, until interrupted")
	_ = cmd.RegisterFlagCompletionFunc("query", cobra.FixedCompletions(Queries, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

var Queries = []string{"available", "cached", "in-use", "max"}

func status(a *cli.App, ctx context.Context, names []string, verbose bool, query string) error {
	if query != "" && !slices.Contains(Queries, query) {
		return fault.Invalid("one of "+strings.Join(Queries, ", "), "--query %s: no such number", query)
	}
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	a.Due(ctx, names...)
	sources, err := selected(ctx, engine, names)
	if err != nil {
		return err
	}
	if query != "" {
		n := Ask(sources, query)
		switch {
		case a.JSON:
			return a.PrintJSON(n)
		case n == nil:
			return term.Printf(a.Out, "unlimited\n")
		}
		return term.Printf(a.Out, "%d\n", *n)
	}
	if a.JSON {
		return statusJSON(a, ctx, engine, sources, verbose)
	}
	var instances []compute.Instance
	var leases map[compute.ID][]*compute.Lease
	if verbose {
		if instances, leases, err = InstancesOf(ctx, engine, sources); err != nil {
			return err
		}
	}
	rows := make([][]string, len(sources))
	for i, s := range sources {
		rows[i] = append(CrcacheRow(s), s.Type, note(s, time.Now()))
	}
	if err := a.Table([]string{"source", "cached", "in-use", "max", "type", "note"}, rows); err != nil || !verbose {
		return err
	}
	rows = rows[:0]
	for _, i := range instances {
		rows = append(rows, instanceRows(i, leases[i.ID], time.Now())...)
	}
	if err := term.Printf(a.Out, "\n"); err != nil {
		return err
	}
	if err := a.Table([]string{"instance", "state", "since", "lease", "owner", "ends", "note"}, rows); err != nil {
		return err
	}
	if err := statusQueue(a, ctx, engine, sources); err != nil {
		return err
	}
	if len(names) == 0 {
		if err := statusNodes(a, ctx); err != nil {
			return err
		}
	}
	store := a.Self().Store
	if store == "" { // the controller does not say
		return nil
	}
	return term.Printf(a.Out, "\nstore: %s\n", term.Line(store))
}

func statusJSON(a *cli.App, ctx context.Context, engine cli.Engine, sources []compute.SourceStatus, verbose bool) error {
	v := statusView{Sources: []api.Source{}, Instances: []api.Instance{}, Store: a.Self().Store}
	for _, s := range sources {
		v.Sources = append(v.Sources, source(s))
	}
	instances, leases, err := InstancesOf(ctx, engine, sources)
	if err != nil {
		return err
	}
	for _, i := range instances {
		v.Instances = append(v.Instances, instance(i, leases[i.ID]))
	}
	if verbose {
		if v.Computers, _, err = slapNodes(a, ctx); err != nil {
			return err
		}
	}
	if a.Stream {
		return a.PrintLine(v)
	}
	return a.PrintJSON(v)
}

// selected returns the status of the named sources, sorted by name; of all without names.
func selected(ctx context.Context, engine cli.Engine, names []string) ([]compute.SourceStatus, error) {
	all, err := engine.Status(ctx)
	if err != nil {
		return nil, err
	}
	return Choose(all, names)
}

// Choose returns the named sources; without names all.
func Choose(all []compute.SourceStatus, names []string) ([]compute.SourceStatus, error) {
	if len(names) == 0 {
		return all, nil
	}
	known := make([]string, len(all))
	for i, s := range all {
		known[i] = s.Name
	}
	for _, n := range names {
		if !slices.Contains(known, n) {
			return nil, cli.UnknownSource(n, known)
		}
	}
	return slices.DeleteFunc(all, func(s compute.SourceStatus) bool { return !slices.Contains(names, s.Name) }), nil
}

// Ask sums up one number over sources; nil means no limit.
func Ask(sources []compute.SourceStatus, query string) *int {
	sum := 0
	for _, s := range sources {
		switch query {
		case "cached":
			sum += s.Counts.Cached()
		case "in-use":
			sum += s.Counts.InUse()
		case "max":
			if s.Maximum == 0 {
				return nil
			}
			sum += s.Maximum
		case "available":
			if s.Available == nil {
				return nil
			}
			sum += *s.Available
		}
	}
	return &sum
}

// CrcacheRow returns the part of a row that crcache's table has too.
func CrcacheRow(s compute.SourceStatus) []string {
	return []string{s.Name, strconv.Itoa(s.Counts.Cached()), strconv.Itoa(s.Counts.InUse()), strconv.Itoa(s.Maximum)}
}

// note describes what is unusual about a source.
func note(s compute.SourceStatus, now time.Time) string {
	var notes []string
	add := func(n int, format string) {
		if n > 0 {
			notes = append(notes, fmt.Sprintf(format, n))
		}
	}
	if s.Broken != nil {
		notes = append(notes, "broken: "+term.Line(term.ErrorText(s.Broken)))
	}
	if s.Orphaned {
		notes = append(notes, "orphaned")
	}
	add(s.Cold, "%d cold")
	add(s.Counts.Creating+s.Counts.SettingUp, "%d being made")
	add(s.Counts.Cleaning, "%d being cleaned")
	add(s.Counts.Discarding, "%d being discarded")
	add(s.Counts.Failed, "%d failed")
	add(s.Counts.Held, "%d held")
	add(s.Waiting, "%d waiting")
	if s.Unready != nil {
		notes = append(notes, term.Line(s.Unready.String()))
	}
	if !s.Unreachable.IsZero() {
		notes = append(notes, strings.TrimPrefix(term.Line(s.LastError), "it "))
	} else if s.Paused.After(now) {
		why := ": " + term.Line(s.LastError)
		if s.Unready != nil && s.Unready.Why == s.LastError {
			why = ""
		}
		notes = append(notes, fmt.Sprintf("paused for %s%s", term.ShortDuration(s.Paused.Sub(now)), why))
	}
	return strings.Join(notes, ", ")
}

// InstancesOf returns the instances of sources, sorted by name, and their leases.
func InstancesOf(
	ctx context.Context, engine cli.Engine, sources []compute.SourceStatus,
) ([]compute.Instance, map[compute.ID][]*compute.Lease, error) {
	all, err := engine.Instances(ctx, compute.InstanceQuery{})
	if err != nil {
		return nil, nil, err
	}
	all = slices.DeleteFunc(all, func(i compute.Instance) bool {
		return !slices.ContainsFunc(sources, func(s compute.SourceStatus) bool { return s.Name == i.Source })
	})
	slices.SortFunc(all, func(a, b compute.Instance) int {
		return strings.Compare(a.Source+"\x00"+string(a.ID), b.Source+"\x00"+string(b.ID))
	})
	leases, err := engine.Leases(ctx, compute.LeaseQuery{})
	if err != nil {
		return nil, nil, err
	}
	byInstance := make(map[compute.ID][]*compute.Lease, len(leases))
	for i, l := range leases {
		byInstance[l.Instance] = append(byInstance[l.Instance], &leases[i])
	}
	return all, byInstance, nil
}

// instanceRows returns the table rows of an instance. That is one row, or with partial leases one
// for the whole and one for each lease.
func instanceRows(i compute.Instance, ls []*compute.Lease, now time.Time) [][]string {
	if len(ls) == 0 {
		return [][]string{instanceRow(i, nil, now)}
	}
	if ls[0].Share == nil {
		return [][]string{instanceRow(i, ls[0], now)}
	}
	row := instanceRow(i, nil, now)
	booked := fmt.Sprintf("%v booked", compute.Booked(ls))
	if has, ok := compute.AmountOf(i.Facts); ok {
		booked += fmt.Sprintf(" of %v", has)
	}
	if row[6] == "" {
		row[6] = booked
	} else {
		row[6] = booked + "; " + row[6]
	}
	rows := [][]string{row}
	for _, l := range ls {
		part := instanceRow(i, l, now)
		part[1], part[2], part[6] = "", term.ShortDuration(now.Sub(l.Given)), l.Share.String()
		rows = append(rows, part)
	}
	return rows
}

func instanceRow(i compute.Instance, l *compute.Lease, now time.Time) []string {
	row := []string{string(i.ID), string(i.State), term.ShortDuration(now.Sub(i.Since)), "", "", "", term.Line(i.Reason)}
	if i.Cold && row[6] == "" {
		row[6] = "cold"
	}
	if l != nil {
		row[3], row[4] = l.Name, term.Line(l.Owner)
		if l.Name == "" {
			row[3] = l.ID
		}
		if d := l.Deadline(); !d.IsZero() {
			row[5] = "in " + term.ShortDuration(d.Sub(now))
		}
		if l.Pool != "" && row[6] == "" {
			row[6] = "by " + string(l.Pool)
		}
	}
	return row
}
