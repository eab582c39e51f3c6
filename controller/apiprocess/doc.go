// Package apiprocess is the process of a controller that reads requests from the network: the API
// process.
//
// The engine process starts it (Supervisor) with one socket, by the same program with a hidden
// subcommand (Subcommand, Main), and passes it each connection that a listener accepts, as a file
// descriptor. It becomes a user of its own
// where the engine is root, and confines itself: it opens no file, connects to nothing, executes
// nothing and sees no other process. It ends TLS and reads HTTP. What no operation of the API takes
// it refuses; of the rest it decodes the body into the operation's Go type and writes it anew, lets
// the headers through that somebody here reads, and asks the engine by a connection that the engine
// has made. The files of the page it has itself.
//
// The engine alone finds the caller, by the credential that came with the request: a token, a
// cookie, a certificate. A claim about the user does not exist between the two. TLS's key stays in
// the engine, which signs (auth/certificate).
//
//	clients --TLS, HTTP--> front: check, write anew --HTTP, socket pair--> engine: who, may, do
package apiprocess
