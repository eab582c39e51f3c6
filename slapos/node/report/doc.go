// Package report is the report pass of a SlapOS node. It reports the use to the master. Then it
// destroys the instances that are to be destroyed, each when its retention is over and its last
// work is done.
//
// A failure of one partition stops no other: it is reported, and the pass goes on. Data is deleted
// only when the master has it, or wants it deleted. The next pass mends one that was killed at any
// step.
package report
