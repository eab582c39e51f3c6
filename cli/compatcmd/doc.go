// Package compatcmd has the command compat, which links the names of former programs and reads
// their configuration, and the command line of crcache.
package compatcmd
