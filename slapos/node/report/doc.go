// Package report is the report pass of a SlapOS node: it tells the master what was used, and then
// destroys the instances that are wanted destroyed, each when its retention is over and what it
// still has to do has been done.
//
// What one partition does or leaves stops no other: it is reported, and the pass goes on. Anything
// is taken away only when the master has it, or wants it away, and a pass that was killed at any
// step is mended by the next.
package report
