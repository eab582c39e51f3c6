// Package lifecycle carries instances from one stable state to the next: it makes, checks,
// cleans and discards them, replaces those of an old make, asks what has become of them, and
// does what is due. Each step is recorded before it is done.
package lifecycle
