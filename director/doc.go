// Package director keeps sources at what is wanted of them: it looks (a compute.Snapshot), decides
// (compute.Directives), and has them done, again and again. Deciding is pure: no clock, no I/O, no
// memory of what was decided before; what has come of an earlier directive is seen in the next
// snapshot, and an error is repaired by the next look.
//
// A Strategy says what level a source is to have: Reserve, Schedule, Demand. Decide makes it fit
// the maximum and the budget, and turns the difference to what is there into directives: cold
// instances are started before new ones are made, surplus ones go when they have stood idle for
// long enough, those that stood the longest first, to be stopped where that can be and is wanted,
// else to be discarded. What is being made is never surplus.
//
// Run is the loop. Replay runs the same decisions over a trace of arrivals with a model in place of
// computers.
package director
