// Package exec is the provider of source types that hostler does not know: an executable
// hostler-source-TYPE on PATH, started once for each call, which reads one JSON request on standard
// input and writes one JSON answer on standard output. docs/exec-protocol.md is the protocol's
// page; docs/examples has one executable in POSIX sh and one in Python, both of which pass the
// suite of providers.
//
// The executable says at Open (verb describe) what it can do besides the four verbs of every
// provider. Those abilities are found by compute.As and exist only where it said so.
//
// Settings, which may be secrets, travel on standard input alone: never in arguments, the
// environment or logs. In errors the values that Options.Secrets names are replaced by stars.
//
// An answer is limited to 1 MiB, and to the time Options.Timeout. When a call ends early the
// executable's whole process group is killed.
package exec
