// Package steps is the table of an instance's life: its states, the steps between them, and how
// work is taken up that a dead process has left. The engine changes the state of an instance by a
// step of this table and by nothing else. docs/lifecycle.md is written from it.
//
//	to, err := steps.Take(i.State, steps.Discard) // compute.Discarding, or an error
//	undo := steps.Of(compute.Cleaning).Undo       // it is cleaned again
package steps

import (
	"fmt"
	"slices"

	"github.com/hostler-project/hostler/compute"
)

// None is the state of an instance without a record: it is not made yet, or it is gone.
const None compute.State = ""

// Step is what happens to an instance.
type Step string

// The steps.
const (
	Create  Step = "create"   // it is to be made
	Find    Step = "find"     // the provider has it, and there is no record of it
	SetUp   Step = "set-up"   // it is made
	Cache   Step = "cache"    // it is ready, and no request has it
	HandOut Step = "hand-out" // a lease gets it
	Clean   Step = "clean"    // its lease has ended, and it is to be cleaned
	Return  Step = "return"   // its lease has ended, and it is used again as it is
	PutBack Step = "put-back" // it was taken for a request and not given
	Stop    Step = "stop"     // a director has it stopped
	Start   Step = "start"    // a director has it started
	Cleaned Step = "cleaned"
	Stopped Step = "stopped"
	Started Step = "started"
	Fail    Step = "fail"    // making, checking, cleaning, stopping or starting it failed
	Hold    Step = "hold"    // it is kept aside for a person
	Discard Step = "discard" // it is to be destroyed
	Gone    Step = "gone"    // its end is proved
	Forget  Step = "forget"  // nothing of it was made
)

// Row is a step that an instance in a state may take.
type Row struct {
	From compute.State
	Step Step
	To   compute.State
	When string // what leads to it
	// what is in the same transaction, and so is known before anything is done
	Records string
	Then    string // what is done after it; "": nothing
}

// rows is the table. No other change of a state is ever recorded.
var rows = []Row{
	{None, Create, compute.Creating, "a request, `fill` or a director wants one more, and there is room",
		"its name, the lease that it is for, what that counts, the worker", "the provider creates it"},
	{None, Find, compute.Discarding, "the provider lists a computer of ours that has no record",
		"its name and the provider's id", "the provider destroys it"},
	{None, HandOut, compute.Leased, "nothing is to be made: a machine that stays, or a pool's instance over a ready one",
		"the lease", "it is checked, if it has to be"},

	{compute.Creating, SetUp, compute.SettingUp, "the provider has made it",
		"the provider's id, address and facts", "it is connected to until it answers; provision hooks run"},
	{compute.Creating, Cache, compute.Ready, "a pool's instance over a new one is made for the cache",
		"the event that the next hand-out rests on", ""},
	{compute.Creating, HandOut, compute.Leased, "the same for a request",
		"the event that the hand-out rests on, the lease", ""},
	{compute.Creating, Fail, compute.Failed, "the provider could not create it, or its answer was lost",
		"why; the failure counts against the source, and may open its breaker", "it is discarded"},
	{compute.Creating, Discard, compute.Discarding, "its process died, its user discards it, or it cannot be what was asked for",
		"why", "the provider destroys it"},
	{compute.Creating, Forget, None, "the provider was never asked, or what is behind a pool's instance could not be made",
		"why", ""},

	{compute.SettingUp, Cache, compute.Ready, "it answers, and its hooks have run",
		"the event that the next hand-out rests on; the breaker of the source closes", ""},
	{compute.SettingUp, HandOut, compute.Leased, "the same for a request",
		"the event that the hand-out rests on, the lease; the breaker of the source closes", ""},
	{compute.SettingUp, Fail, compute.Failed, "it does not answer, or a hook failed",
		"why; the failure counts against the source, and may open its breaker", "it is discarded"},
	{compute.SettingUp, Discard, compute.Discarding, "its process died, its user discards it, or it is not needed any more",
		"why", "the provider destroys it"},

	{compute.Ready, HandOut, compute.Leased, "a request takes it",
		"the lease, which is its user's only when it was checked", "it is started and checked, if it has to be; acquire hooks run"},
	{compute.Ready, Stop, compute.Cleaning, "a director has it stopped",
		"that it is cold, the worker", "the provider stops it"},
	{compute.Ready, Start, compute.Cleaning, "a director has it started",
		"the worker", "the provider starts it, and it is connected to until it answers"},
	{compute.Ready, Discard, compute.Discarding, "it is too old, surplus, ended, in the way, replaced by a roll-out, or its source changed",
		"why", "the provider destroys it"},
	{compute.Ready, Hold, compute.Held, "a person holds it", "why", ""},

	{compute.Leased, Clean, compute.Cleaning, "its lease has ended, and its source keeps it",
		"the end of the lease", "release hooks run, the provider cleans it, its bundles are applied again"},
	{compute.Leased, Return, compute.Ready, "the same where the source uses it again as it is",
		"the end of the lease, on which the next hand-out rests", ""},
	{compute.Leased, PutBack, compute.Ready, "it was taken for a request, and its place does not answer",
		"the end of the lease, which counts as no use", ""},
	{compute.Leased, Cache, compute.Ready, "a pool's instance over a ready one was drawn for the cache",
		"the end of the lease, which counts as no use", ""},
	{compute.Leased, Discard, compute.Discarding, "its lease has ended, and it is not kept, cannot be cleaned, or has ended too",
		"the end of the lease", "discard hooks run, the provider destroys it"},
	{compute.Leased, Fail, compute.Failed, "a check before its hand-out failed",
		"the end of the lease, why", "it is discarded"},
	{compute.Leased, Hold, compute.Held, "its user holds it", "the end of the lease, why", ""},
	{compute.Leased, Forget, None, "what is behind a pool's instance was not fit, or is not needed",
		"the end of the lease", ""},

	{compute.Cleaning, Cleaned, compute.Ready, "it is clean",
		"what was done, on which the next hand-out rests", ""},
	{compute.Cleaning, Stopped, compute.Ready, "it is stopped", "that it is cold", ""},
	{compute.Cleaning, Started, compute.Ready, "it is started", "that it is not cold", ""},
	{compute.Cleaning, Fail, compute.Failed, "cleaning, stopping or starting it failed", "why", "it is discarded"},
	{compute.Cleaning, Discard, compute.Discarding, "it has ended, its user discards it, or nobody waits for it any more",
		"why", "the provider destroys it"},

	{compute.Failed, Discard, compute.Discarding, "at once", "why", "the provider destroys it"},
	{compute.Failed, Hold, compute.Held, "its source says `on-failure = hold`, or a person holds it", "why, and until when", ""},

	{compute.Discarding, Gone, None, "the provider says that it is not there", "the event; its source has room", ""},

	{compute.Held, Discard, compute.Discarding, "a person discards it, or its time is over", "why", "the provider destroys it"},
}

// Table returns all rows, in the order of a life.
func Table() []Row { return slices.Clone(rows) }

// Take returns the state to which a step leads. A step that is not in the table is an error of the
// engine.
func Take(from compute.State, s Step) (compute.State, error) {
	for _, r := range rows {
		if r.From == from && r.Step == s {
			return r.To, nil
		}
	}
	if from == None {
		from = "no record"
	}
	return None, fmt.Errorf("no step %q leads from %s", s, from)
}

// May reports whether an instance in a state may take a step.
func May(from compute.State, s Step) bool {
	_, err := Take(from, s)
	return err == nil
}

// Leads reports whether any step leads from one state to another.
func Leads(from, to compute.State) bool {
	return slices.ContainsFunc(rows, func(r Row) bool { return r.From == from && r.To == to })
}
