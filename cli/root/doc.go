// Package root runs a command line of hostler: the common options, the tree of commands and the
// exit status. The program lists its commands and former names in a Program.
package root
