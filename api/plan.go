package api

import (
	"strconv"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Plans is what a director would do now, and what it did lately.
type Plans struct {
	Time       time.Time  `json:"time" doc:"when it looked"`
	Directs    bool       `json:"directs" doc:"this controller makes instances ahead of need, or another one on its store; false: only what is asked for is made"`
	Plans      []Plan     `json:"plans" doc:"by source"`
	Directives []Directed `json:"directives" doc:"what was done lately, the newest first"`
}

// Plan is what a director would do for a source.
type Plan struct {
	Source     string      `json:"source"`
	Have       int         `json:"have" doc:"so many are there, in use and not, stopped ones left out"`
	Cold       int         `json:"cold" doc:"and so many are stopped"`
	Wanted     int         `json:"wanted" doc:"so many are to be there"`
	Kept       int         `json:"kept" doc:"so many may be there"`
	Reason     string      `json:"reason" doc:"why, for people"`
	DryRun     bool        `json:"dry_run" doc:"nothing is done for it: it is only said"`
	Broken     bool        `json:"broken,omitempty" doc:"it cannot be used, and reason says why"`
	Directives []Directive `json:"directives" doc:"that follow"`
}

// Directive is one action that a director wants done.
type Directive struct {
	Do       string `json:"do" enum:"create,start,stop,discard,aim"`
	Count    int    `json:"count,omitempty" doc:"of create: so many"`
	Instance string `json:"instance,omitempty" doc:"of start, stop and discard"`
	Reserve  *int   `json:"reserve,omitempty" doc:"of aim: what the source is to have from now on"`
	Spare    *int   `json:"spare,omitempty" doc:"of aim, the same"`
	Reason   string `json:"reason" doc:"why, for people"`
}

// Directed is a directive that was recorded.
type Directed struct {
	ID     int64     `json:"id" doc:"of the event in the journal"`
	Time   time.Time `json:"time"`
	Source string    `json:"source"`
	Directive
}

// NewDirected makes the document of a directive from its event in the journal.
func NewDirected(e compute.Event) Directed {
	d := Directed{
		ID: e.ID, Time: e.Time, Source: e.Source,
		Directive: Directive{Do: e.Data["do"], Instance: string(e.Instance), Reason: e.Text},
	}
	number := func(key string) *int {
		n, err := strconv.Atoi(e.Data[key])
		if err != nil {
			return nil
		}
		return &n
	}
	if n := number("count"); n != nil {
		d.Count = *n
	}
	d.Reserve, d.Spare = number("reserve"), number("spare")
	return d
}

// History is how the sources were used over some time.
type History struct {
	Step   float64 `json:"step" doc:"seconds that each point stands for"`
	Priced bool    `json:"priced" doc:"the price of instances is known, of some of them at least"`
	Points []Point `json:"points" doc:"the oldest first, without gaps; the last one is of the time that has not ended yet"`
}

// Point is one step of a history.
type Point struct {
	Time    time.Time `json:"time" doc:"when it begins"`
	Given   int       `json:"given" doc:"leases"`
	Hits    int       `json:"hits" doc:"leases that were given what stood ready"`
	Misses  int       `json:"misses" doc:"leases that had to wait, in the queue or for an instance to be made"`
	Waited  *float64  `json:"waited" doc:"seconds that the misses waited, in the mean; null: there were none"`
	Longest *float64  `json:"longest" doc:"seconds that one of them waited at most"`
	Made    int       `json:"made" doc:"instances"`
	Failed  int       `json:"failed" doc:"instances, at whatever step"`
	Present *float64  `json:"present" doc:"instances that there were, in the mean; null: it is not known"`
	InUse   *float64  `json:"in_use" doc:"of these, in use"`
	Cost    *float64  `json:"cost" doc:"of an hour, in the money that prices are in; null: no price is known"`
}

// TerminalEnd says how a browser's terminal ended.
type TerminalEnd struct {
	Status int    `json:"status" doc:"the shell's, as shells show it; -1: it did not run, or is no more"`
	Signal string `json:"signal,omitempty" doc:"that ended it"`
	Reason string `json:"reason,omitempty" doc:"for people"`
}
