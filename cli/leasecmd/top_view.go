package leasecmd

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// TopView has what top shows at one moment.
type TopView struct {
	At      time.Time
	Where   string // the controller or store
	Sources []inventory.SourceStatus
	Moving  []compute.Instance // being made, cleaned or discarded, or failed
	Leases  []compute.Lease
	more    bool               // there are more leases
	Queue   []inventory.Queued // nil if the controller does not say
	Events  []compute.Event
	Given   int   // leases given in the last minute
	Ended   int   // leases ended in the last minute
	failed  int   // failures in the last minute
	Err     error // why the data is old
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

// headline returns the first line, with the sums of all sources.
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

// footer returns the last line: the filter that is being typed, the last error, or what the keys
// do.
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
