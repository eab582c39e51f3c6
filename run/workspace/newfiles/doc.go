// Package newfiles finds the files that a command made on a computer, and fetches them over the
// command's connection.
//
// It lists files before and after the command. A file is old if it is the same file with the same
// size and times, so no two clocks are compared. Links are not followed. Only regular files below
// the directory count.
//
// The computer needs a POSIX shell, find and stat, of GNU, busybox or a BSD. Its answers are
// trusted only for what they say of its own files. Names are checked, sizes are bounded, and all
// contents go to the caller's writer.
package newfiles
