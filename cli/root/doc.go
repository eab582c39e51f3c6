// Package root runs a command line of hostler's: the options that all commands take, the tree of
// commands and the exit status. Which commands and which former names there are is the program's
// to say, in a Program.
package root
