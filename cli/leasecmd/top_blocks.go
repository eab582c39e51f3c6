package leasecmd

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
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
	return []topBlock{v.sourcesBlock(w), v.queueBlock(w), v.movingBlock(w), v.leasesBlock(w), v.eventsBlock(w)}
}

// sourcesBlock has a row for each source.
func (v *TopView) sourcesBlock(w TopWish) topBlock {
	b := topBlock{header: []string{"source", "cached", "in-use", "max", "wanted", "waiting", "note"}, share: 30}
	for _, s := range filtered(v.Sources, w.Filter, func(s inventory.SourceStatus) string { return s.Name + " " + s.Type }) {
		most := ""
		if s.Maximum > 0 {
			most = strconv.Itoa(s.Maximum)
		}
		b.rows = append(b.rows, []string{
			s.Name, strconv.Itoa(s.Counts.Cached()), strconv.Itoa(s.Counts.InUse()), most, strconv.Itoa(s.Wanted),
			strconv.Itoa(s.Waiting), note(s, v.At),
		})
	}
	return b
}

// movingBlock has the instances that are being made, cleaned or discarded, or failed.
func (v *TopView) movingBlock(w TopWish) topBlock {
	b := topBlock{title: "in motion", header: []string{"instance", "state", "for", "note"}, share: 15}
	for _, i := range filtered(
		v.Moving, w.Filter,
		func(i compute.Instance) string { return string(i.ID) + " " + i.Source + " " + string(i.State) },
	) {
		b.rows = append(b.rows, []string{string(i.ID), string(i.State), term.ShortDuration(v.At.Sub(i.Since)), term.Line(i.Why())})
	}
	return b
}

// leasesBlock has the leases in the order that the user wants.
func (v *TopView) leasesBlock(w TopWish) topBlock {
	b := topBlock{title: "leases", header: []string{"instance", "owner", "used", "held", "ends", "purpose"}, share: 25}
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
		b.rows = append(b.rows, []string{
			string(l.Instance), term.Line(l.Owner), term.ShortDuration(v.At.Sub(l.Used)) + " ago",
			term.ShortDuration(v.At.Sub(l.Given)), ends, term.Line(cmp.Or(l.Name, l.Purpose)),
		})
	}
	if v.more {
		b.title += " (of more)"
	}
	return b
}

// queueBlock has the requests that wait.
func (v *TopView) queueBlock(w TopWish) topBlock {
	b := topBlock{title: "queue", header: []string{"source", "place", "count", "owner", "for", "in about", "why"}, share: 15}
	for _, r := range filtered(v.Queue, w.Filter, func(r inventory.Queued) string { return r.Source + " " + r.Owner + " " + r.Project }) {
		about := term.UnknownYet
		if r.Estimate > 0 {
			about = term.ShortDuration(r.Estimate)
		}
		b.rows = append(b.rows, []string{
			r.Source, strconv.Itoa(r.Position), strconv.Itoa(r.Count), term.Line(r.Owner),
			term.ShortDuration(v.At.Sub(r.Since)), about, term.Line(r.Reason),
		})
	}
	return b
}

// eventsBlock has the latest events, the newest first.
func (v *TopView) eventsBlock(w TopWish) topBlock {
	b := topBlock{title: "events", share: 20}
	for _, e := range slices.Backward(filtered(v.Events, w.Filter, func(e compute.Event) string {
		return e.Kind + " " + string(e.Instance) + " " + e.Source + " " + e.Owner + " " + e.Text
	})) {
		about := cmp.Or(string(e.Instance), e.Source)
		b.rows = append(b.rows, []string{
			e.Time.Local().Format(time.TimeOnly) + "  " + strings.TrimSpace(
				e.Kind+"  "+about+"  "+term.Line(e.Owner)+"  "+term.Line(e.Text),
			),
		})
	}
	return b
}
