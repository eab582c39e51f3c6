// Package format makes a machine a computer of SlapOS: partitions with a user, a directory and
// addresses each, and a description of all that for the master.
//
// It observes, decides and acts. A survey looks at the machine. The plan, a pure function, makes
// the computer's description from the options, the choices of an earlier run and the survey, and
// the missing steps. [Formatter] takes these steps, and looks again. Existing things need no step,
// so a second run does nothing and describes the same. The description is recorded before the first
// step: so the next run knows the things that a killed run began as ours.
//
// Only users, links and addresses of our own names, or of an earlier run's description, are ever
// changed. Nothing is removed, with one exception: addresses of ours that another machine on the
// link or another partition's interface turned out to have.
//
// Elsewhere than on Linux nothing can be formatted.
package format
