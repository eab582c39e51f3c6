package runcmd

import (
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/exitstatus"
	"github.com/hostler-project/hostler/run/multi"
)

// partView is one of several runs in their report.
type partView struct {
	Index    int    `json:"index"`
	Run      string `json:"run,omitempty"` // its record
	Instance string `json:"instance,omitempty"`
	Lease    string `json:"lease,omitempty"`
	State    string `json:"state"` // passed, failed, cancelled, interrupted, not-begun
	Exit     int    `json:"exit_status"`
	// the error's kind, unless it is the command's own status
	Kind    string  `json:"kind,omitempty"`
	Error   string  `json:"error,omitempty"`
	Seconds float64 `json:"seconds"`
}

// manyView is the report of several runs.
type manyView struct {
	Source  string     `json:"source"`
	Started time.Time  `json:"started"`
	Seconds float64    `json:"seconds"`
	Exit    int        `json:"exit_status"`
	Runs    []partView `json:"runs"`
}

// viewPart describes how one of several runs ended.
func viewPart(p *multi.Part) partView {
	r := p.Runner.Result()
	v := partView{
		Index: p.Index, Run: r.Record.ID, Instance: string(r.Instance.ID), Lease: r.Lease.ID,
		State: string(p.State), Exit: p.Exit(), Seconds: p.Took.Seconds(),
	}
	if !r.Recorded {
		v.Run = ""
	}
	if p.Err == nil {
		return v
	}
	if kind, told := exitstatus.KindOfRun(p.Err); !told {
		v.Kind, v.Error = kind, term.ErrorText(p.Err)
	} else if r.Exit == nil { // else the status is the command's own
		v.Kind = kind
	}
	return v
}
