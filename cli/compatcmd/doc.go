// Package compatcmd is about the programs that hostler takes over from: the command compat, which
// links their names and reads their configuration, and the command line of crcache.
package compatcmd
