// Package usage makes a SlapOS node's usage report for its master. The programs of etc/report are
// run, their files and those of others are read, and one journal is made of them.
//
// Files of a partition belong to its user, and may hold anything. So each is read through
// [home.Dir], within bounds, and one that is no consumption stays where it is. Files that were read
// are removed only when the caller says that the master has the report.
package usage
