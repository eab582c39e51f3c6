package leasecmd

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
)

// TopView has what top shows at one moment.
type TopView struct {
	At      time.Time
	Where   string // the controller or store
	Sources []compute.SourceStatus
	Moving  []compute.Instance // being made, cleaned or discarded, or failed
	Leases  []compute.Lease
	more    bool             // there are more leases
	Queue   []compute.Queued // nil if the controller does not say
	Events  []compute.Event
	Given   int   // leases given in the last minute
	Ended   int   // leases ended in the last minute
	failed  int   // failures in the last minute
	Err     error // why the data is old
}

// TopWish says how the user wants to see the view.
type TopWish struct {
	Sort   int // an index of topSorts
	Filter string
	Typing bool // the user is typing the filter
	Paused bool
	help   bool
}

// topSorts are the orders of leases.
var topSorts = []struct {
	name string
	by   func(a, b compute.Lease) int
}{
	{"last use", func(a, b compute.Lease) int { return b.Used.Compare(a.Used) }},
	{"longest unused", func(a, b compute.Lease) int { return a.Used.Compare(b.Used) }},
	{"age", func(a, b compute.Lease) int { return a.Given.Compare(b.Given) }},
	{"owner", func(a, b compute.Lease) int { return cmp.Compare(a.Owner, b.Owner) }},
	{"source", func(a, b compute.Lease) int { return cmp.Compare(a.Source, b.Source) }},
}

const topHelp = "q quit   space pause   s sort leases   / filter   esc no filter   h help"

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

// Picture draws a view in so many lines and columns; 0 means no limit.
func (v *TopView) Picture(w TopWish, height, width int) []string {
	lines := []string{v.headline(w)}
	blocks := v.blocks(w)
	room := 0
	if height > 0 {
		room = max(height-2, 0) // without the first and last line
	}
	for i, n := range shares(blocks, room) {
		lines = append(lines, blocks[i].draw(n)...)
	}
	if height > 0 {
		lines = lines[:min(len(lines), max(height-1, 0))]
		for len(lines) < height-1 {
			lines = append(lines, "")
		}
		lines = append(lines, v.footer(w))
	}
	for i, l := range lines {
		lines[i] = cut(strings.TrimRight(term.Line(l), " "), width)
	}
	return lines
}

func (v *TopView) headline(w TopWish) string {
	var used, cached, waiting, broken int
	for _, s := range v.Sources {
		used += s.Counts.InUse()
		cached += s.Counts.Cached()
		waiting += s.Waiting
		if s.Broken != nil {
			broken++
		}
	}
	line := fmt.Sprintf(
		"hostler  %s  %s  %d in use, %d cached, %d waiting  last minute: %d given, %d back",
		v.At.Local().Format(time.TimeOnly), term.Line(v.Where), used, cached, waiting, v.Given, v.Ended,
	)
	if v.failed > 0 {
		line += fmt.Sprintf(", %d failed", v.failed)
	}
	if broken > 0 {
		line += fmt.Sprintf("  %d broken", broken)
	}
	if w.Paused {
		line += "  PAUSED"
	}
	return line
}

func (v *TopView) footer(w TopWish) string {
	switch {
	case w.Typing:
		return "filter: " + term.Line(w.Filter) + "_"
	case v.Err != nil:
		return "as of " + v.At.Local().Format(time.TimeOnly) + ": " + term.Line(term.ErrorText(v.Err))
	case w.help:
		return topHelp
	}
	line := "leases by " + topSorts[w.Sort].name
	if w.Filter != "" {
		line += "   filter: " + term.Line(w.Filter)
	}
	return line + "   h help"
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
