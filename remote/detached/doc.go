// Package detached keeps commands that outlive the connection of their caller. It wraps the Conn of
// a computer's own agent, which stays when a connection to it ends.
//
// A command that has a compute.Hold belongs to the agent and not to the client that asked for it.
// That client is the first viewer: it sees the output from the beginning and may type. When the
// last viewer has lost contact, the command stays for its grace period, or until it ends. Other
// clients may attach meanwhile: any number that only look, and one that types.
//
// The output of a command goes through a ring of bounded size for each stream. While a viewer that
// types is attached, the command waits for it, as it would for the reader of a pipe, and that
// viewer misses nothing. The command waits for nobody else. The bytes that a viewer misses are
// counted, and a line in its output says at that place how many there are. How a run ended is known
// for an hour.
//
//	conn := detached.New(process.New(process.Options{}))
//	exit, err := conn.Run(ctx, &compute.Command{Args: args, Hold: &compute.Hold{Run: "build-7"}})
//	// from another connection: the same run goes on
//	again := &compute.Hold{Run: "build-7", Attach: true}
//	exit, err = conn.Run(ctx, &compute.Command{Stdout: w, Hold: again})
package detached
