// Package process is a compute.Conn whose commands are processes of this machine: as they are,
// behind a prefix command (docker exec), or in another root directory. The agent, hostler's program
// inside of a computer, serves this same Conn.
//
// Only the standard library, golang.org/x/sys and a small library for terminals may be linked by
// it, as the agent is to stay small.
package process
