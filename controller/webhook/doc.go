// Package webhook sends the events of the journal to other programs by HTTP. Each receiver gets the
// events that it asks for, in order, at least once each.
//
// The store has each hook's position, so a restart loses nothing. If a receiver does not answer,
// its hook tries again with growing pauses. Other hooks do not wait for it, and nothing accumulates
// in memory, as the events are in the journal.
//
// Each delivery is signed with the hook's secret; receivers can use Verify. The administrator
// chooses the addresses, so they may be anywhere. Only the status of an answer counts. Redirects
// are not followed, so a receiver cannot send the controller elsewhere.
package webhook
