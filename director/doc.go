// Package director keeps sources at the level that is wanted of them. Again and again it takes a
// plan.Snapshot, decides on plan.Directive, and has them carried out. Deciding is pure: no
// clock, no I/O, no memory of earlier decisions. The next snapshot shows the effect of a directive,
// and the next round repairs an error.
//
// A Strategy says what level a source is to have: Reserve, Schedule, Demand. Decide makes it fit
// the maximum and the budget, and turns the difference to the present level into directives:
//
//   - Cold instances are started before new ones are made.
//   - Surplus instances go when they have been idle for long enough, the longest idle first.
//   - They are stopped where the provider can do that and the source wants it, else discarded.
//   - Instances that are being made are never surplus.
//
// Run is the loop. Replay runs the same decisions over a trace of arrivals with a model in place of
// computers.
package director
