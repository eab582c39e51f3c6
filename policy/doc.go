// Package policy is the one place that says who may choose what in a request for instances.
//
// Each field of a request has a rule, in the table Fields. Nothing is granted by silence: a field
// without a rule fails the tests, and a field that chooses what a computer is made of is refused
// unless a key of the source allows it. A project may narrow that further.
//
// The engine calls Check for every request, whichever way it came. The owner, whose configuration
// it is, may choose freely. But the sizes of a source bind the owner too, as its `maximum` does.
//
// All functions are pure and may be called concurrently.
package policy
