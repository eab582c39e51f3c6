package api

import (
	"strconv"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Plans is what a director would do now, and what it did lately.
type Plans struct {
	Time       time.Time  `json:"time" doc:"When the plan was made"`
	Directs    bool       `json:"directs" doc:"A controller makes instances ahead of need. false: only on request."`
	Plans      []Plan     `json:"plans" doc:"Plans by source"`
	Directives []Directed `json:"directives" doc:"Recent directives, the newest first"`
}

// Plan is what a director would do for a source.
type Plan struct {
	Source     string      `json:"source"`
	Have       int         `json:"have" doc:"Number of instances, in use or not, without stopped ones"`
	Cold       int         `json:"cold" doc:"Number of stopped instances"`
	Wanted     int         `json:"wanted" doc:"Number of instances that there should be"`
	Kept       int         `json:"kept" doc:"Number of instances that are kept at most"`
	Reason     string      `json:"reason" doc:"The reason, for people"`
	DryRun     bool        `json:"dry_run" doc:"The directives are shown but not carried out"`
	Broken     bool        `json:"broken,omitempty" doc:"The source cannot be used. The reason says why."`
	Directives []Directive `json:"directives" doc:"Directives that follow from the plan"`
}

// Directive is one action that a director wants done.
type Directive struct {
	Do       string `json:"do" enum:"create,start,stop,discard,aim"`
	Count    int    `json:"count,omitempty" doc:"For create: number of instances."`
	Instance string `json:"instance,omitempty" doc:"For start, stop and discard: the instance."`
	Reserve  *int   `json:"reserve,omitempty" doc:"For aim: the source's new reserve."`
	Spare    *int   `json:"spare,omitempty" doc:"For aim: the source's new spare."`
	Reason   string `json:"reason" doc:"The reason, for people"`
}

// Directed is a directive that was recorded.
type Directed struct {
	ID     int64     `json:"id" doc:"ID of the event in the journal"`
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
	Step   float64 `json:"step" doc:"Seconds that each point covers"`
	Priced bool    `json:"priced" doc:"The price of some instances is known"`
	Points []Point `json:"points" doc:"Points without gaps, the oldest first. The period of the last one has not ended."`
}

// Point is one step of a history.
type Point struct {
	Time    time.Time `json:"time" doc:"When the period begins"`
	Given   int       `json:"given" doc:"Leases that were given"`
	Hits    int       `json:"hits" doc:"Leases that were served by a ready instance"`
	Misses  int       `json:"misses" doc:"Leases that had to wait, in the queue or for an instance to be made"`
	Waited  *float64  `json:"waited" doc:"Mean wait of the misses, in seconds. null if there were none."`
	Longest *float64  `json:"longest" doc:"Longest wait, in seconds"`
	Made    int       `json:"made" doc:"Instances that were made"`
	Failed  int       `json:"failed" doc:"Instances that failed at any step"`
	Present *float64  `json:"present" doc:"Mean number of instances. null if it is not known."`
	InUse   *float64  `json:"in_use" doc:"Mean number of instances in use"`
	Cost    *float64  `json:"cost" doc:"Cost of an hour, in the currency of the prices. null if no price is known."`
}

// TerminalEnd says how a browser's terminal ended.
type TerminalEnd struct {
	Status int    `json:"status" doc:"Exit status of the shell, as shells show it. -1 means that it did not run, or no longer exists."`
	Signal string `json:"signal,omitempty" doc:"Signal that ended the shell"`
	Reason string `json:"reason,omitempty" doc:"The reason, for people"`
}
