// Package policy is the one place where it stands who may choose what in a request for instances.
//
// Each field of a request has a rule, in the table Fields. Nothing is granted by silence: a field
// without a rule fails the tests, and a field that chooses what a computer is made of is refused
// unless a key of the source allows it. A project may narrow that further.
//
// The engine asks Check for every request, whichever door it came in by. The user whose
// configuration it is, the owner, may choose freely; but the sizes that a source says bind the
// owner too, as its `maximum` does.
//
// All functions are pure and may be called at once from many goroutines.
package policy
