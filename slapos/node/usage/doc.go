// Package usage is what a SlapOS node tells its master of what was used: the programs of etc/report
// are run, the files that they and others have left are read, and one journal is made of them.
//
// Files of a partition are its user's, who may be anybody: each is read through [home.Dir], within
// bounds, and one that is no consumption stays where it is. What was read is taken away only when
// its caller says that the master has it.
package usage
