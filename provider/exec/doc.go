// Package exec is the provider of source types that hostler does not know. It starts the executable
// hostler-source-TYPE on PATH once for each call. The executable reads one JSON request on standard
// input, and writes one JSON answer on standard output. docs/exec-protocol.md describes the
// protocol. docs/examples has one executable in POSIX sh and one in Python; both pass the suite of
// providers.
//
// When it is opened (the verb describe), the executable says what it can do besides the four verbs
// of every provider. provider.As finds those abilities, and no others.
//
// Settings may be secrets. They travel on standard input only, never in arguments, the environment
// or logs. In errors the values in options.Secrets are replaced by stars.
//
// An answer is limited to 1 MiB, and a call to options.Timeout. When a call ends early, the
// executable's whole process group is killed.
package exec
