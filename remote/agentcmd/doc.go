// Package agentcmd is the command line of hostler's program inside of a computer: hostler-agent, or
// "hostler agent". It runs processes of the computer it is on (remote/process) for clients that
// speak the agent's protocol (remote/agent) on its streams of bytes.
//
// It is linked into a small program that starts in a moment and stays small in memory, a thousand
// times on one machine. So it imports the standard library, golang.org/x/sys and what
// remote/process needs, nothing at all is done before Main, and encoders of the large kind
// (encoding/json, net/http, text/template) stay out. A test of cmd/hostler-agent has the list.
//
// What it is told on its command line is no secret. Its standard error is for its own errors; what
// commands write goes over the protocol.
package agentcmd
