// Package runlog keeps a record of every run: what was run where, how it ended, and what it wrote.
// Each run has a directory of its own, so runs at once need nothing of each other, and no server is
// needed.
//
//	runs/ID/record.json   a Record, replaced as a whole
//	runs/ID/lock          held by the process that runs it for as long as it lives
//	runs/ID/stdout        the first of the output; stdout.1, stdout.2, ... the rest in pieces, of
//	                      which the last are kept; the same of stderr
//	runs/ID/artifacts/    files that were brought back
//	runs/ID/junit.xml     the reports of its tests in one
//	runs/keys/HASH        which run a caller's key stands for, locked while it is bound
//
// A run is recorded before it begins. Its process holds a lock that the kernel drops when that
// ends, however it does, so a run whose process was killed is seen as lost, with all that it had
// written by then. A record that cannot be written stops no run: the first error is kept for one
// warning.
//
// What is recorded is the user's alone: directories have mode 0700 and files 0600. Who writes here
// keeps secrets out of it (package redact).
package runlog
