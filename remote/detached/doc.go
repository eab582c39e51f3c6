// Package detached keeps commands whose caller is not there any more: what it wraps is the Conn of
// a computer's own agent, which stays when a connection to it ends. Each command that has a
// compute.Hold belongs to the agent and not to who asked for it: that one is the first of those who
// are there for it, sees what it writes from the beginning and may type. When contact with the last
// of them is lost, the command stays for its grace, or until it ends, and others may come: any
// number who look, and one who types.
//
// What a command writes goes through a ring of bounded size for each stream. As long as somebody
// who types is there the command waits for him, as it would for the reader of a pipe, so he misses
// nothing. Who only looks is not waited for, and when nobody is there nobody is: what they miss is
// counted, and a line in the output says how much is missing, at the place where it is. How a run
// ended is known for an hour.
package detached
