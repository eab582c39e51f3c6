package leasecmd

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
)

// filtered returns the items whose text has the filter's words.
func filtered[T any](all []T, filter string, text func(T) string) []T {
	words := strings.Fields(strings.ToLower(filter))
	if len(words) == 0 {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(v T) bool {
		t := strings.ToLower(text(v))
		return slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(t, w) })
	})
}

// blocks returns the blocks below the first line.
func (v *TopView) blocks(w TopWish) []topBlock {
	sources := topBlock{header: []string{"source", "cached", "in-use", "max", "wanted", "waiting", "note"}, share: 30}
	for _, s := range filtered(v.Sources, w.Filter, func(s compute.SourceStatus) string { return s.Name + " " + s.Type }) {
		most := ""
		if s.Maximum > 0 {
			most = strconv.Itoa(s.Maximum)
		}
		sources.rows = append(
			sources.rows,
			[]string{
				s.Name, strconv.Itoa(s.Counts.Cached()), strconv.Itoa(s.Counts.InUse()), most, strconv.Itoa(s.Wanted),
				strconv.Itoa(s.Waiting), note(s, v.At),
			},
		)
	}
	moving := topBlock{title: "in motion", header: []string{"instance", "state", "for", "note"}, share: 15}
	for _, i := range filtered(
		v.Moving, w.Filter,
		func(i compute.Instance) string { return string(i.ID) + " " + i.Source + " " + string(i.State) },
	) {
		moving.rows = append(
			moving.rows,
			[]string{string(i.ID), string(i.State), term.ShortDuration(v.At.Sub(i.Since)), term.Line(i.Reason)},
		)
	}
	leases := topBlock{title: "leases", header: []string{"instance", "owner", "used", "held", "ends", "purpose"}, share: 25}
	all := filtered(v.Leases, w.Filter, func(l compute.Lease) string {
		return string(l.Instance) + " " + l.Source + " " + l.Owner + " " + l.Name + " " + l.Purpose + " " + l.Project
	})
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b compute.Lease) int {
		return cmp.Or(topSorts[w.Sort].by(a, b), cmp.Compare(a.Instance, b.Instance))
	})
	for _, l := range all {
		ends := ""
		if d := l.Deadline(); !d.IsZero() {
			ends = "in " + term.ShortDuration(d.Sub(v.At))
		}
		leases.rows = append(
			leases.rows,
			[]string{
				string(l.Instance), term.Line(l.Owner), term.ShortDuration(v.At.Sub(l.Used)) + " ago",
				term.ShortDuration(v.At.Sub(l.Given)), ends, term.Line(cmp.Or(l.Name, l.Purpose)),
			},
		)
	}
	if v.more {
		leases.title += " (of more)"
	}
	queue := topBlock{title: "queue", header: []string{"source", "place", "count", "owner", "for", "in about", "why"}, share: 15}
	for _, r := range filtered(v.Queue, w.Filter, func(r compute.Queued) string { return r.Source + " " + r.Owner + " " + r.Project }) {
		about := term.UnknownYet
		if r.Estimate > 0 {
			about = term.ShortDuration(r.Estimate)
		}
		queue.rows = append(
			queue.rows,
			[]string{
				r.Source, strconv.Itoa(r.Position), strconv.Itoa(r.Count), term.Line(r.Owner),
				term.ShortDuration(v.At.Sub(r.Since)), about, term.Line(r.Reason),
			},
		)
	}
	events := topBlock{title: "events", share: 20}
	for _, e := range slices.Backward(filtered(v.Events, w.Filter, func(e compute.Event) string {
		return e.Kind + " " + string(e.Instance) + " " + e.Source + " " + e.Owner + " " + e.Text
	})) {
		about := cmp.Or(string(e.Instance), e.Source)
		events.rows = append(
			events.rows,
			[]string{
				e.Time.Local().Format(time.TimeOnly) + "  " + strings.TrimSpace(
					e.Kind+"  "+about+"  "+term.Line(e.Owner)+"  "+term.Line(e.Text),
				),
			},
		)
	}
	return []topBlock{sources, queue, moving, leases, events}
}
