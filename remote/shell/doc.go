// Package shell takes a command through a place where only a POSIX shell is sure to be: the far
// side of ssh, or of a prefix such as docker exec.
//
// Line writes the command as a script of one line. Boot, which stands in the argument list for all
// to see, reads that line from standard input, so neither the environment's values nor long
// arguments do. The script tells what became of it in words that Preamble takes off the output
// again.
package shell
