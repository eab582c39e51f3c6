// Package collect finds the files that a command made on a computer, and brings them here, over the
// connection that the command ran on.
//
// What is new is told by two looks, one before the command and one after it: a file that is the
// same file with the same size and times as before is old. No clock is compared with another. Links
// are not followed, and only regular files below the directory count.
//
// The far side needs a POSIX shell, find and stat; a package of GNU, busybox or a BSD has them.
// What it says is not believed further than that it may say anything of its own files: names are
// checked here, sizes are bounded, and nothing is written but through the writer that the caller
// gives.
package collect
