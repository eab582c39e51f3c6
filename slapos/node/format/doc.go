// Package format makes a machine a computer of SlapOS: partitions with a user, a directory and
// addresses each, and the description of all that is posted to the master.
//
// It observes, decides and acts. [Survey] sees what is on the machine; [Plan], a pure function,
// makes the computer's description out of the options, what an earlier run chose and what is there,
// and the steps that are missing; [Formatter] takes them, and looks again. What is there already is
// no step: a second run does nothing and describes the same. The description is recorded before
// anything is done, so that what a killed run began is known as ours by the next.
//
// Only users, links and addresses of our own names, or of an earlier run's description, are ever
// changed. Nothing is removed, but addresses of ours that another machine on the link has turned
// out to have, or another partition's interface now.
//
// Elsewhere than on Linux nothing can be formatted.
package format
