package storetest

import (
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"

	"github.com/hostler-project/hostler/store"
)

// OldSources are records as they stood before format 10, where negative failures were answers
// without room, and the text of the last error said that a place did not answer.
var OldSources = []struct {
	Name        string
	Failures    int
	LastError   string
	full        int
	unreachable int64 // seconds since 1970; 0: it answers
	text        string
}{
	{"full", -2, "no room", 2, 0, "no room"},
	{"away", 0, "it cannot be reached since 2026-11-20T10:00:00Z: no route", 0, 1795168800, "no route"},
	{"broken", 3, "it says: it cannot be reached since yesterday", 0, 0, "it says: it cannot be reached since yesterday"},
}

// OldInstances are details as they stood before format 10, where the beginning of the reason said
// what the engine went by, and before format 11, where its end said what failed last.
var OldInstances = []struct {
	ID, State, Detail string
	cause             compute.Cause
	fill              bool
	reason, failure   string // not compared where both are empty
}{
	{
		"old-1", "discarding", `{"reason":"the answer to its creation was lost: x","facts":{"os":"\u0000"}}`,
		inventory.CauseUnanswered, false, "", "",
	},
	{"old-2", "discarding", `{"reason":"it makes room for somebody who waits for 2 GPUs"}`, inventory.CauseRoom, false, "", ""},
	{"old-3", "discarding", `{"wanted":"l","reason":"its computer has ended: gone"}`, inventory.CauseEnded, false, "", ""},
	{"old-4", "cleaning", `{"reason":"somebody waits for it"}`, inventory.CauseWaiter, false, "", ""},
	{"old-5", "cleaning", `{"reason":"it is being stopped","cold":true}`, inventory.CauseStop, false, "", ""},
	{"old-6", "cleaning", `{"reason":"it is being started"}`, inventory.CauseStart, false, "", ""},
	{"old-7", "failed", `{"reason":"it is being stopped by a person"}`, "", false, "", ""},
	{"old-8", "creating", `{"wanted":"cache:1","reason":"its \"reason\":\"it is being stopped\""}`, "", true, "", ""},
	{"old-9", "creating", `{"wanted":"1"}`, "", false, "", ""},
	{
		"old-10", "discarding", `{"reason":"a \"quote\"; discard: no; discard: \"at all\"","attempts":2}`, "", false,
		`a "quote"`, `no; discard: "at all"`,
	},
	{"old-11", "failed", `{"reason":"it said; discard: me"}`, "", false, "it said; discard: me", ""},
	{"old-12", "discarding", `{"reason":"released","facts":{"a":"; discard: x"}}`, "", false, "released", ""},
}

// OldLeases are ended ones as they stood before format 10.
var OldLeases = []struct {
	ID, Why string
	cause   compute.Cause
}{
	{"old-lease-1", "its computer has ended: gone", inventory.CauseEnded},
	{"old-lease-2", "released", ""},
}

// Typed checks that the old records say by values what their texts said. A test wrote them into a
// store, which has brought them up to date.
func Typed(t *testing.T, tx store.Tx) {
	t.Helper()
	for _, c := range OldSources {
		s, err := tx.Source(c.Name, "d")
		if err != nil || s.Failures != max(0, c.Failures) || s.Full != c.full || s.LastError != c.text ||
			s.Unreachable.IsZero() != (c.unreachable == 0) || c.unreachable != 0 && s.Unreachable.Unix() != c.unreachable {
			t.Errorf("source %s: got %+v, %v", c.Name, s, err)
		}
	}
	for _, c := range OldInstances {
		if i, err := tx.Instance(compute.ID(c.ID)); err != nil || i.Cause != c.cause || i.Fill != c.fill {
			t.Errorf("%s: got %+v, %v, want cause %q and fill %v", c.ID, i, err, c.cause, c.fill)
		} else if c.reason+c.failure != "" && (i.Reason != c.reason || i.Failure != c.failure) {
			t.Errorf("%s: reason %q, failure %q; want %q and %q", c.ID, i.Reason, i.Failure, c.reason, c.failure)
		}
	}
	if i, err := tx.Instance("old-1"); err != nil || i.Facts["os"] != "\x00" {
		t.Errorf("facts of old-1: got %+v, %v, want them as they were", i, err)
	}
	for _, c := range OldLeases {
		if l, err := tx.Lease(c.ID); err != nil || l.Cause != c.cause || l.Why != c.Why {
			t.Errorf("lease %s: got %+v, %v, want cause %q", c.ID, l, err, c.cause)
		}
	}
}
