// Package runlog keeps a record of every run: what was run where, how it ended, and its output.
// Each run has a directory of its own. So concurrent runs do not affect each other, and no server
// is needed.
//
//	runs/ID/record.json   a Record, replaced as a whole
//	runs/ID/lock          held by the process that runs it for as long as it lives
//	runs/ID/stdout        the first of the output; stdout.1, stdout.2, ... the rest in pieces, of
//	                      which the last are kept; the same of stderr
//	runs/ID/artifacts/    files that were brought back
//	runs/ID/junit.xml     the reports of its tests in one
//	runs/keys/HASH        which run a caller's key stands for, locked while it is bound
//
// A run is recorded before it begins. Its process holds a lock that the kernel releases when the
// process ends. So a run whose process was killed is seen as lost, with its output until then. A
// record that cannot be written stops no run: the first error is kept for one warning.
//
// The record is for the user alone: directories have mode 0700 and files 0600. Callers keep secrets
// out of what they record (package redact).
package runlog
